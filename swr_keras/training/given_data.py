"""A task made of whatever `keras.Model.fit` takes."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from swr_keras.layers.base import check_base
from swr_keras.layers.conversion import check_num_classes
from swr_keras.training.datasets import as_tensors, check_dataset

_VALIDATION_BATCH = 128


class GivenData:
    """The data of a task as a user has it, checked at the door; a `Task`.

    Args:
        base: The base that the task is for.
        x, y: Arrays, a `keras.utils.PyDataset`, or a `tf.data.Dataset` of batches
            `(inputs, labels)`. Instead of two arrays, `x` may be the tuple of them, to which
            sample weights can be added.
        validation_data: Likewise, a tuple for arrays.
        num_classes, loss, metrics: See `Task`.
        seed: Seed of the order of arrays.

    Raises:
        ValueError: If `base` is subclassed or not built; if the data aren't batches of inputs and
            labels that fit the base, are empty or have no end, see `check_dataset`; if
            `num_classes` is no number of classes; or, of arrays and without a `loss`, if labels
            are no classes of the head.
    """

    name = "task"

    def __init__(
        self,
        base: keras.Model,
        x: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        num_classes: int | None = None,
        loss: keras.losses.Loss | str | None = None,
        metrics: Sequence[Any] | None = None,
        seed: int = 0,
    ):
        check_base(base)
        check_num_classes(num_classes)
        self.num_classes = num_classes
        self.loss = loss
        self.metrics = metrics
        self._seed = seed
        data = x if y is None else (x, y)
        batches = check_dataset(data, base)
        self.labels_spec = batches.labels
        self._batches, self._steps = batches.dataset, batches.steps
        self._arrays = as_tensors(data) if isinstance(data, tuple) else None
        self._validation = None
        if validation_data is not None:
            checked = check_dataset(validation_data, base, batch_size=_VALIDATION_BATCH)
            self._validation = checked.dataset
        if loss is None:
            outputs = num_classes or base.outputs[0].shape[-1]
            for each in (data, validation_data):
                if isinstance(each, tuple):
                    _check_classes(tf.convert_to_tensor(each[1]), outputs)

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns batches, those of arrays in an order of its own each epoch."""
        if self._arrays is None:
            return self._batches if self._steps is None else self._batches.repeat()
        size = self._num_examples()

        def take(rows):
            return tree.map_structure(lambda array: tf.gather(array, rows), self._arrays)

        def epoch(number):
            seed = tf.stack([tf.cast(self._seed, tf.int64), number])
            rows = tf.random.experimental.stateless_shuffle(tf.range(size), seed)
            return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size).map(take)

        return tf.data.Dataset.counter(first_epoch).flat_map(epoch)

    def steps_per_epoch(self, batch_size: int) -> int | None:
        """Returns the batches of an epoch; `None` where they aren't known."""
        return self._steps if self._arrays is None else -(-self._num_examples() // batch_size)

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset | None:
        """Returns the validation batches."""
        return self._validation

    def _num_examples(self):
        return len(tree.flatten(self._arrays)[0])


def _check_classes(labels, num_outputs):
    """Raises ValueError for integers that are no classes of a head, nor yes or no for each."""
    if num_outputs is None or not labels.dtype.is_integer:
        return
    of_each_output = labels.shape.rank > 1 and labels.shape[-1] == num_outputs
    last = 1 if of_each_output else max(num_outputs, 2) - 1
    least, most = int(tf.reduce_min(labels)), int(tf.reduce_max(labels))
    if least < 0 or most > last:
        raise ValueError(
            f"Labels must be integers from 0 to {last}, by the outputs of the head. Received: "
            f"labels from {least} to {most}, num_classes={num_outputs}. Number classes from 0 on, "
            "say by `num_classes` how many there are, or pass the `loss` of what else they are."
        )
