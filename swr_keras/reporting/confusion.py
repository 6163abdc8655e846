"""Which classes a model takes for which, as plain values."""

import dataclasses
import math
from collections.abc import Sequence

from swr_keras.reporting.results import percent

_DARK = 0.55
_MISTAKES = 5


@dataclasses.dataclass(frozen=True)
class Cell:
    """How often one class was taken for one.

    Attributes:
        count: The number of examples.
        is_right: Whether that is the right class.
        shade: Square root of its share of the row, in [0, 1], so that rare mistakes show.
        is_dark: Whether text on it must be light.
    """

    count: int
    is_right: bool
    shade: float
    is_dark: bool


@dataclasses.dataclass(frozen=True)
class TrueClass:
    """All examples of one class; `correct` is empty where there are none."""

    label: str
    cells: tuple[Cell, ...]
    correct: str


@dataclasses.dataclass(frozen=True)
class Mistake:
    """How often one class was taken for a wrong one."""

    label: str
    taken_for: str
    count: int
    total: int


def confusion_rows(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> list[TrueClass]:
    """Makes a row for each true class, with a cell for each class that it was taken for.

    Args:
        labels: Class names, which may be of any script.
        counts: `counts[i][j]`: examples of class i that were taken for class j.
    """
    rows = []
    for index, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row)
        shades = [math.sqrt(count / total) if total else 0.0 for count in row]
        cells = tuple(
            Cell(count, column == index, shade, shade > _DARK)
            for column, (count, shade) in enumerate(zip(row, shades, strict=True))
        )
        rows.append(TrueClass(label, cells, percent(row[index] / total) if total else ""))
    return rows


def frequent_mistakes(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> list[Mistake]:
    """Lists the most frequent mistakes, the most frequent first."""
    mistakes = [
        Mistake(labels[true], labels[found], count, sum(row))
        for true, row in enumerate(counts)
        for found, count in enumerate(row)
        if count and found != true
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.count)[:_MISTAKES]
