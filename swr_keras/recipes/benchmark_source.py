"""Where a benchmark gets its tasks from, whatever domain they are of."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from swr_keras.jobs.task import MeasuredTask


@dataclasses.dataclass(frozen=True)
class Repetition:
    """One of the repetitions that results are averaged over.

    Attributes:
        seed: Seed of everything random.
        fold: Fold of a cross-validation; `None` without one.
    """

    seed: int
    fold: int | None = None

    def __str__(self):
        return f"seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")


@dataclasses.dataclass(frozen=True)
class KnownTask:
    """What planning needs of a task once its data have left memory.

    Attributes:
        name, labels, examples, input_shape, notes: As of the task.
        data: Its `digest()`.
    """

    name: str
    labels: tuple[str, ...]
    examples: dict[str, int]
    input_shape: tuple[int, ...]
    notes: tuple[str, ...]
    data: str

    @classmethod
    def of(cls, task: MeasuredTask) -> "KnownTask":
        """Notes what is needed of a task."""
        return cls(
            name=task.name,
            labels=task.labels,
            examples=task.examples,
            input_shape=task.input_shape,
            notes=task.notes,
            data=task.digest(),
        )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def digest(self) -> str:
        """Returns `data`."""
        return self.data

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the batches of an epoch."""
        return -(-self.examples["training"] // batch_size)


class TaskSource(Protocol):
    """Reads the tasks of a benchmark when they are needed; can be pickled, and is then small."""

    def known(self, backbone: str, repetition: Repetition) -> tuple[KnownTask, Sequence[KnownTask]]:
        """Reads what a base is trained on and the tasks that it adapts to.

        A base that was trained before comes with no examples, and perhaps no labels; `data` is its
        own digest. `task` knows their digests from then on.

        Raises:
            ValueError: For anything wrong with the data.
            OSError: If a file can't be read.
        """

    def task(self, data: str) -> MeasuredTask:
        """Returns the task of a digest.

        Raises:
            ValueError: If its data aren't what they were.
        """
