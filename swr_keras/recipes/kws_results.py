"""Accuracies and costs of one task's models, as JSON and as a table."""

import dataclasses
import platform
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import swr_keras
from swr_keras.export import LiteModel
from swr_keras.policy.policy import Policy
from swr_keras.reporting.results import BOTH_RIGHT, CLASSIFIER
from swr_keras.training.task_model import TaskModel

BASE_STAGE = "base"


class Results:
    """Collects what was measured of one task's models.

    Args:
        task: The task, a `KeywordTask`.
        settings: The resolved settings of the run, a dataclass.
        histories: Logs of the epochs of each stage, `BASE_STAGE` or `<task>: <what>`; read when
            the results are written.

    Attributes:
        rows: One dict a model, of its method, costs and accuracies; `both_right` is the share of
            test clips that the model and classifier-only, added before it, got right.
        confusions: Test clips by true class and class found, of int8 models.
        policy_curve: See `reporting.policy_curve`.
        tracking_error: See `PolicySearch.grid_error`.
        bundles: Target cost, stem of the files and manifest of each int8 model.
    """

    def __init__(self, task, settings, histories: dict[str, list[dict[str, float]]]):
        self.task = task
        self.settings = settings
        self.histories = histories
        self.rows: list[dict[str, Any]] = []
        self.confusions: list[dict[str, Any]] = []
        self.policy_curve: dict[str, Any] | None = None
        self.tracking_error: float | None = None
        self.bundles: list[dict[str, Any]] = []
        self._classifier_hits: np.ndarray | None = None

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
        found = {split: classes_found(model, dataset) for split, dataset in evaluation.items()}
        hits = {
            split: outputs == classes[self.task.splits[split].labels]
            for split, outputs in found.items()
        }
        row |= {f"{split}_accuracy": float(np.mean(right)) for split, right in hits.items()}
        if method == CLASSIFIER:
            self._classifier_hits = hits["testing"]
        elif self._classifier_hits is not None:
            row[BOTH_RIGHT] = float(np.mean(hits["testing"] & self._classifier_hits))
        if isinstance(model, LiteModel):
            counts = np.zeros((len(names), len(names)), int)
            np.add.at(counts, (self.task.splits["testing"].labels, found["testing"]), 1)
            title = f"{method} at c = {policy.target_cost:g}" if policy else method
            self.confusions.append({"title": title, "counts": counts.tolist()})
        if isinstance(model, TaskModel):
            own = model.task_variables().values()
            row["owned_bytes"] = sum(variable.numpy().nbytes for variable in own)
        if policy is not None:
            row["target_cost"] = policy.target_cost
            row["achieved_cost"] = policy.achieved_cost
            row["changed_layers"] = list(policy.selected_layers)
        self.rows.append(row)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything measured, with what is needed to measure it again, for JSON."""
        histories = {
            stage: {name: [logs[name] for logs in history] for name in history[0]}
            for stage, history in self.histories.items()
            if stage == BASE_STAGE or stage.startswith(f"{self.task.name}: ")
        }
        return {
            "task": self.task.name,
            "labels": self.task.labels,
            "clips": {name: len(split.labels) for name, split in self.task.splits.items()},
            "unreadable_clips": {
                name: list(split.unreadable) for name, split in self.task.splits.items()
            },
            "results": self.rows,
            "confusions": self.confusions,
            "policy_curve": self.policy_curve,
            "policy_tracking_error": self.tracking_error,
            "bundles": self.bundles,
            "histories": histories,
            "seconds": {
                stage: round(sum(history["seconds"]), 1) for stage, history in histories.items()
            },
            "settings": dataclasses.asdict(self.settings),
            "versions": {
                "python": platform.python_version(),
                "keras": keras.version(),
                "tensorflow": tf.version.VERSION,
                "numpy": np.__version__,
                "swr_keras": swr_keras.__version__,
            },
        }

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


def classes_found(model: keras.Model | LiteModel, dataset: tf.data.Dataset) -> np.ndarray:
    """Returns the index of the largest logit of each example, `(n,)`.

    Args:
        model: Gives logits `(n, outputs)`.
        dataset: Batches `(features, labels)`.
    """
    found = []
    for features, _ in dataset.as_numpy_iterator():
        logits = model(features) if isinstance(model, keras.Model) else model.predict(features)
        found.append(np.argmax(np.asarray(logits), axis=-1))
    return np.concatenate(found)
