"""What jobs ask of a task, besides what training does."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from swr_keras.training.task import Task


class MeasuredTask(Task, Protocol):
    """A classification task of a domain, with all that is measured and exported of it.

    Attributes:
        labels: Class names in the order of the outputs.
        input_shape: Shape of one input.
        examples: Number of examples by split, "training", "validation" and "testing".
        notes: What a reader of results must know of the data.
        front_end: What computes the inputs, a dataclass, for the manifest.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def examples(self) -> dict[str, int]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def front_end(self) -> Any: ...

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset: ...

    def testing(self) -> tf.data.Dataset:
        """Returns batches of the test split."""

    def conditions(self) -> Mapping[str, tf.data.Dataset]:
        """Returns batches of the test split in further conditions, by name."""

    def calibration(self, count: int) -> np.ndarray:
        """Returns up to `count` training inputs of all classes, always the same."""

    def calibration_names(self, count: int) -> tuple[str, ...]:
        """Returns their names."""

    def digest(self) -> str:
        """Returns a hash of all that a result depends on, equal for equal data alone."""
