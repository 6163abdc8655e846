"""What the tasks of all domains have in common: classes, and examples in splits."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

BASE = "base"
"""What the task is called that a base is trained on."""


class Examples(Protocol):
    """The examples of a split: a label for each, and of those left out the file and the reason."""

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def unreadable(self) -> tuple[str, ...]: ...


@dataclasses.dataclass(frozen=True, eq=False)
class SplitTask:
    """What a `Task` of classes knows of itself, whatever its examples are.

    Attributes:
        name: Name of the task.
        labels: Class names.
        splits: Its examples by name: "training", "validation", "testing".
        remarks: What a reader of results must know of them.
    """

    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, Examples]
    remarks: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    loss = None
    metrics = None
    labels_spec = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    @property
    def examples(self) -> dict[str, int]:
        """Number of examples by split."""
        return {name: len(split.labels) for name, split in self.splits.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results must know, with what was left out."""
        left_out = (
            f"Left out of {name}: {problem}"
            for name, split in self.splits.items()
            for problem in split.unreadable
        )
        return (*self.remarks, *left_out)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the batches of an epoch."""
        return -(-self.examples["training"] // batch_size)

    def __getstate__(self) -> dict[str, Any]:
        # Whatever was computed of them is left out: data sets can't go to another process.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
