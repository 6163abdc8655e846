"""A task made of whatever `keras.Model.fit` takes."""

from typing import Any

import keras
import tensorflow as tf
from keras import tree

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
        self._arrays = None if y is None else tree.map_structure(tf.convert_to_tensor, (x, y))
        self._batches = None if y is not None else _batches(x)
        self._validation = None
        if isinstance(validation_data, tuple):
            slices = tf.data.Dataset.from_tensor_slices(validation_data)
            self._validation = slices.batch(_VALIDATION_BATCH)
        elif validation_data is not None:
            self._validation = _batches(validation_data)
        self._seed = seed

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns batches, those of arrays in an order of its own each epoch."""
        if self._batches is not None:
            known = self.steps_per_epoch(batch_size) is not None
            return self._batches.repeat() if known else self._batches
        size = len(tree.flatten(self._arrays)[0])

        def take(rows):
            return tree.map_structure(lambda array: tf.gather(array, rows), self._arrays)

        def epoch(number):
            seed = tf.stack([tf.cast(self._seed, tf.int64), number])
            rows = tf.random.experimental.stateless_shuffle(tf.range(size), seed)
            return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size).map(take)

        return tf.data.Dataset.counter(first_epoch).flat_map(epoch)

    def steps_per_epoch(self, batch_size: int) -> int | None:
        """Returns the batches of an epoch; `None` where they aren't known."""
        if self._batches is None:
            return -(-len(tree.flatten(self._arrays)[0]) // batch_size)
        size = int(self._batches.cardinality())
        return size if size >= 0 else None

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset | None:
        """Returns the validation batches."""
        return self._validation


def _batches(data: Any) -> tf.data.Dataset:
    if isinstance(data, tf.data.Dataset):
        return data
    if isinstance(data, keras.utils.PyDataset):
        signature = tree.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), data[0]
        )
        return tf.data.Dataset.from_generator(
            lambda: (data[index] for index in range(data.num_batches)), output_signature=signature
        )
    raise ValueError(
        "Expected arrays `x` and `y`, a PyDataset or a tf.data.Dataset of batches. Received: "
        f"{type(data).__name__}."
    )
