"""Accuracies and costs of one task's models, as JSON and as a table."""

import dataclasses
import json
import platform
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from swr_keras.export import LiteModel
from swr_keras.policy.policy import Policy


class Results:
    """Collects what was measured of one task's models.

    Args:
        task: The task, a `KeywordTask`.
        settings: The resolved settings of the run, a dataclass.
        seconds: Seconds of each stage by title; read when the results are written.
    """

    def __init__(self, task, settings, seconds: dict[str, float]):
        self.task = task
        self.settings = settings
        self.seconds = seconds
        self.tracking_error: float | None = None
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        method: str,
        model: keras.Model | LiteModel,
        evaluation: dict[str, tf.data.Dataset],
        *,
        policy: Policy | None = None,
        class_names: Sequence[str] | None = None,
    ):
        """Evaluates a model on every split and adds it.

        Args:
            method: Name of the method.
            model: Gives one logit a class.
            evaluation: Data sets `(features, labels)` by split.
            policy: The policy it was trained with.
            class_names: Names of its classes where they aren't the task's.
        """
        names = list(class_names or self.task.labels)
        classes = np.array([names.index(n) if n in names else -1 for n in self.task.labels])
        row: dict[str, Any] = {"method": method}
        for split, dataset in evaluation.items():
            row[f"{split}_accuracy"] = accuracy(model, dataset, classes)
        if policy is not None:
            row["target_cost"] = policy.target_cost
            row["achieved_cost"] = policy.achieved_cost
            row["changed_layers"] = list(policy.selected_layers)
        self.rows.append(row)

    def to_json(self) -> str:
        """Returns everything measured, with what is needed to measure it again."""
        return json.dumps(
            {
                "task": self.task.name,
                "labels": self.task.labels,
                "clips": {name: len(split.labels) for name, split in self.task.splits.items()},
                "results": self.rows,
                "policy_tracking_error": self.tracking_error,
                "seconds": {title: round(value, 1) for title, value in self.seconds.items()},
                "settings": dataclasses.asdict(self.settings),
                "versions": {
                    "python": platform.python_version(),
                    "keras": keras.version(),
                    "tensorflow": tf.version.VERSION,
                    "numpy": np.__version__,
                },
            },
            indent=1,
            ensure_ascii=False,
        )

    def __str__(self) -> str:
        clips = {name: len(split.labels) for name, split in self.task.splits.items()}
        lines = [
            f"{self.task.name}: accuracy on {clips['validation']} validation and "
            f"{clips['testing']} test clips, {len(self.task.labels)} classes",
            f"{'method':<16} {'target':>6} {'achieved':>8} {'layers':>6} {'validation':>10} "
            f"{'test':>6}",
        ]
        for row in self.rows:
            cost = [f"{'':>6}", f"{'':>8}", f"{'':>6}"]
            if "target_cost" in row:
                cost = [
                    f"{row['target_cost']:>6.2f}",
                    f"{row['achieved_cost']:>8.3f}",
                    f"{len(row['changed_layers']):>6}",
                ]
            lines.append(
                f"{row['method']:<16} {' '.join(cost)} {row['validation_accuracy']:>10.1%} "
                f"{row['testing_accuracy']:>6.1%}"
            )
        return "\n".join(lines)


def accuracy(model: keras.Model | LiteModel, dataset: tf.data.Dataset, classes) -> float:
    """Returns the share of examples whose largest logit is that of their class.

    Args:
        model: Gives logits `(n, outputs)`.
        dataset: Batches `(features, labels)`.
        classes: Output index of each label, -1 where the model has none.
    """
    hits = []
    for features, labels in dataset.as_numpy_iterator():
        logits = model(features) if isinstance(model, keras.Model) else model.predict(features)
        hits.append(np.argmax(np.asarray(logits), axis=-1) == classes[labels])
    return float(np.mean(np.concatenate(hits)))
