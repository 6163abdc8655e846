"""What training asks of the data of a task."""

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf


class Task(Protocol):
    """The data of one task, and what counts as right.

    Attributes:
        name: Name of the task.
        num_classes: Outputs of its head.
        loss: Its loss; `None` for the one that suits the base's head, see `default_loss`.
        metrics: Its metrics; `None` for the accuracy that belongs to that loss.
        labels_spec: Shape and dtype of a batch of labels; `None` for integers of classes.
    """

    @property
    def name(self) -> str: ...

    @property
    def num_classes(self) -> int | None: ...

    @property
    def loss(self) -> keras.losses.Loss | str | None: ...

    @property
    def metrics(self) -> Sequence[Any] | None: ...

    @property
    def labels_spec(self) -> tf.TensorSpec | None: ...

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns batches `(inputs, labels)` from an epoch on.

        Endless where `steps_per_epoch` says how many make an epoch.
        """

    def steps_per_epoch(self, batch_size: int) -> int | None:
        """Returns the batches of an epoch; `None` if the data set ends by itself."""

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset | None:
        """Returns batches of the validation split, `None` without one.

        Args:
            mixed: Whether batches must mix the classes, for what normalises by the batch.
        """
