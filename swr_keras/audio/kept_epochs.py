"""Epochs of batches that are computed once and kept, in memory or in files."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from swr_keras.tensors import read_tensors, write_tensors

_MOST_BYTES = 2**30
_FORMAT = "swr_keras.epoch/1"

Batch = tuple[np.ndarray, np.ndarray]


class KeptEpochs:
    """Endless batches, epoch after epoch, of which the first are kept for the next training.

    Args:
        compute: Gives, for a batch size and a first epoch, an endless data set of `(features,
            labels)` that is the same each time; see `training_dataset`.
        examples: Examples of an epoch, whose last batch may be smaller.
        folder: Folder of files that keep them, which processes may share; made when needed.
            `None` keeps them in memory.
        most_bytes: Memory or disk that may be taken; epochs beyond it are computed each time.
    """

    def __init__(
        self,
        compute: Callable[[int, int], tf.data.Dataset],
        examples: int,
        folder: Path | None = None,
        most_bytes: int = _MOST_BYTES,
    ):
        self._compute = compute
        self._examples = examples
        self._kept: _Kept = _InMemory() if folder is None else _InFiles(folder)
        self._most_bytes = most_bytes

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
            kept = self._kept.read(batch_size, epoch)
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
                if self._kept.bytes + _bytes_of(batches) <= self._most_bytes:
                    self._kept.keep(batch_size, epoch, batches)
            epoch += 1


class _Kept(Protocol):
    """Batches by batch size and epoch; `bytes` is what they take."""

    @property
    def bytes(self) -> int: ...

    def read(self, batch_size: int, epoch: int) -> list[Batch] | None: ...

    def keep(self, batch_size: int, epoch: int, batches: list[Batch]) -> None: ...


class _InMemory:
    def __init__(self) -> None:
        self._batches: dict[tuple[int, int], list[Batch]] = {}
        self.bytes = 0

    def read(self, batch_size, epoch):
        return self._batches.get((batch_size, epoch))

    def keep(self, batch_size, epoch, batches):
        if (batch_size, epoch) not in self._batches:
            self._batches[batch_size, epoch] = batches
            self.bytes += _bytes_of(batches)


class _InFiles:
    def __init__(self, folder: Path):
        self._folder = folder

    @property
    def bytes(self):
        # What another process writes just now has a name that begins with a dot.
        return sum(path.stat().st_size for path in self._folder.glob("[!.]*.safetensors"))

    def read(self, batch_size, epoch):
        path = self._path(batch_size, epoch)
        if not path.exists():
            return None
        arrays, _ = read_tensors(
            path, form=_FORMAT, kind="an epoch of features", cure="Remove it to compute it anew."
        )
        features, labels = arrays["features"], arrays["labels"]
        starts = range(0, len(labels), batch_size)
        return [(features[at : at + batch_size], labels[at : at + batch_size]) for at in starts]

    def keep(self, batch_size, epoch, batches):
        features, labels = map(np.concatenate, zip(*batches, strict=True))
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays = {"features": features, "labels": labels}
        write_tensors(self._path(batch_size, epoch), arrays, {}, form=_FORMAT)

    def _path(self, batch_size, epoch):
        return self._folder / f"{batch_size:04}_{epoch:05}.safetensors"


def _bytes_of(batches: list[Batch]) -> int:
    return sum(part.nbytes for batch in batches for part in batch)
