"""What a model gets right."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from swr_keras.export import LiteModel
from swr_keras.jobs.result import pack_bits
from swr_keras.jobs.task import MeasuredTask


def measure(
    model: keras.Model | LiteModel, task: MeasuredTask, *, class_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Evaluates a model on the validation and the test split of a task.

    Args:
        model: Gives one output a class.
        task: The task.
        class_names: Names of the model's classes where they aren't the task's; examples of
            classes that it lacks count as wrong.

    Returns:
        The fields `validation_accuracy`, `testing_accuracy`, `accuracy_in`, `right` and, of a
        model with the task's classes, `confusion` of a `Result`.
    """
    names = list(class_names or task.labels)
    classes = np.array([names.index(n) if n in names else -1 for n in task.labels])
    found, labels = classes_found(model, task.testing())
    hits = found == classes[labels]

    def accuracy(dataset):
        found, wanted = classes_found(model, dataset)
        return float(np.mean(found == classes[wanted]))

    measured: dict[str, Any] = {
        "validation_accuracy": accuracy(task.validation()),
        "testing_accuracy": float(np.mean(hits)),
        "accuracy_in": {name: accuracy(each) for name, each in task.conditions().items()},
        "right": pack_bits(hits),
    }
    if class_names is None:
        counts = np.zeros((len(names), len(names)), int)
        np.add.at(counts, (labels, found), 1)
        measured["confusion"] = tuple(map(tuple, counts.tolist()))
    return measured


def classes_found(
    model: keras.Model | LiteModel, dataset: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the largest output of each example and its label, `(n,)` each.

    Args:
        model: Gives outputs `(n, classes)`.
        dataset: Batches `(features, labels)`.
    """
    found, labels = [], []
    for features, wanted in dataset.as_numpy_iterator():
        outputs = model(features) if isinstance(model, keras.Model) else model.predict(features)
        found.append(np.argmax(np.asarray(outputs), axis=-1))
        labels.append(wanted)
    return np.concatenate(found), np.concatenate(labels)
