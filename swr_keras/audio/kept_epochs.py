"""Epochs of batches that are computed once and kept in memory."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

_MOST_BYTES = 2**30

Batch = tuple[np.ndarray, np.ndarray]


class KeptEpochs:
    """Endless batches, epoch after epoch, of which the first are kept for the next training.

    Args:
        compute: Gives, for a batch size and a first epoch, an endless data set of `(features,
            labels)` that is the same each time; see `training_dataset`.
        examples: Examples of an epoch, whose last batch may be smaller.
        most_bytes: Memory that may be taken; epochs beyond it are computed each time.
    """

    def __init__(
        self,
        compute: Callable[[int, int], tf.data.Dataset],
        examples: int,
        most_bytes: int = _MOST_BYTES,
    ):
        self._compute = compute
        self._examples = examples
        self._bytes_left = most_bytes
        self._kept: dict[tuple[int, int], list[Batch]] = {}

    def batches(self, batch_size: int, first_epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch and of all that follow, without end."""
        return tf.data.Dataset.from_generator(
            lambda: self._from(batch_size, first_epoch), output_signature=self._spec
        )

    @functools.cached_property
    def _spec(self):
        return self._compute(1, 0).element_spec

    def _from(self, batch_size: int, epoch: int) -> Iterator[Batch]:
        steps = -(-self._examples // batch_size)
        computed: Iterator[Batch] | None = None
        while True:
            kept = self._kept.get((batch_size, epoch))
            if kept is not None:
                yield from kept
                computed = None
            else:
                if computed is None:
                    computed = self._compute(batch_size, epoch).as_numpy_iterator()
                batches = []
                for _ in range(steps):
                    batches.append(next(computed))
                    yield batches[-1]
                self._keep((batch_size, epoch), batches)
            epoch += 1

    def _keep(self, key: tuple[int, int], batches: list[Batch]) -> None:
        size = sum(part.nbytes for batch in batches for part in batch)
        if key not in self._kept and size <= self._bytes_left:
            self._kept[key] = batches
            self._bytes_left -= size
