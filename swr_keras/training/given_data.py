"""A task made of whatever `keras.Model.fit` takes."""

from typing import Any

import keras
import tensorflow as tf

_VALIDATION_BATCH = 128


class GivenData:
    """The data of a task as a user has it; a `Task`.

    Args:
        x, y: Arrays, a `keras.utils.PyDataset`, or a `tf.data.Dataset` of batches
            `(inputs, labels)`.
        validation_data: Likewise, a pair for arrays.
        num_classes, loss, metrics: See `Task`.
        seed: Seed of the order of arrays.
    """

    def __init__(
        self, x, y=None, *, validation_data=None, num_classes=None, loss=None, metrics=None, seed=0
    ):
        self.name = "task"
        self.num_classes = num_classes
        self.loss = loss
        self.metrics = metrics
        self._arrays = y is not None
        self._data = tf.data.Dataset.from_tensor_slices((x, y)) if self._arrays else _batches(x)
        self._validation = None
        if isinstance(validation_data, tuple):
            slices = tf.data.Dataset.from_tensor_slices(validation_data)
            self._validation = slices.batch(_VALIDATION_BATCH)
        elif validation_data is not None:
            self._validation = _batches(validation_data)
        self._seed = seed

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns the batches of one epoch, arrays in an order of its own each epoch."""
        if not self._arrays:
            return self._data
        return self._data.shuffle(len(self._data), self._seed + first_epoch).batch(batch_size)

    def steps_per_epoch(self, batch_size: int) -> int | None:
        return None

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset | None:
        return self._validation


def _batches(data: Any) -> tf.data.Dataset:
    if isinstance(data, tf.data.Dataset):
        return data
    if isinstance(data, keras.utils.PyDataset):
        first = data[0]
        signature = tf.nest.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), first
        )
        return tf.data.Dataset.from_generator(
            lambda: (data[index] for index in range(data.num_batches)), output_signature=signature
        )
    raise ValueError(
        "Expected arrays `x` and `y`, a PyDataset or a tf.data.Dataset of batches. Received: "
        f"{type(data).__name__}."
    )
