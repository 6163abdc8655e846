"""The results of a run as plain text, for a terminal."""

import unicodedata
from collections.abc import Sequence

from swr_keras.jobs.run import Run

_HEADINGS = (
    *("method", "batch norm", "target", "achieved", "layers"),
    *("validation", "test", "flash"),
)


def results_table(run: Run) -> str:
    """Lists every model of every task with its cost, accuracies and bytes of flash."""
    return "\n\n".join(_task(run, task) for task in run.tasks)


def _task(run, task):
    rows = [_HEADINGS, *(_cells(result) for result in run.of_task(task.name))]
    lead = (
        f"{task.name}: accuracy on {task.examples['validation']} validation and "
        f"{task.examples['testing']} test examples, {len(task.labels)} classes"
    )
    return "\n".join([lead, *_aligned(rows)])


def _cells(result):
    layers = result.changed_layers
    return (
        result.name,
        result.batch_norm,
        _optional(result.target_cost, ".2f"),
        _optional(result.achieved_cost, ".3f"),
        _optional(None if layers is None else len(layers), ""),
        _optional(result.validation_accuracy, ".1%"),
        _optional(result.testing_accuracy, ".1%"),
        _optional(result.flash_bytes, ",d"),
    )


def _optional(value, form):
    return "" if value is None else format(value, form)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligns the first column to the left and all others to the right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        first, *others = zip(row, gaps, strict=True)
        lines.append("  ".join(["".join(first), *(gap + cell for cell, gap in others)]).rstrip())
    return lines


def _width(text):
    """Columns that a terminal takes for a text."""
    return sum(_columns(character) for character in text)


def _columns(character):
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
