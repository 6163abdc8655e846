"""The results of a run as plain text, for a terminal."""

import unicodedata
from collections.abc import Sequence
from statistics import fmean

from swr_keras.jobs.result import CLASSIFIER, FINE_TUNING, SWR
from swr_keras.jobs.run import Run

_HEADINGS = (
    *("method", "batch norm", "target", "achieved", "layers"),
    *("validation", "test", "flash"),
)


def results_table(run: Run) -> str:
    """Lists every model of every task with its cost, accuracies and bytes of flash."""
    return "\n\n".join(_task(run, task) for task in run.tasks)


def gains(run: Run) -> str:
    """Says in a sentence for each task and target cost what was gained for how many bytes."""
    return "\n".join(
        sentence for task in run.tasks if (sentence := _gain(run.rows(task.name), task.name))
    )


def _gain(rows, task):
    classifier = _accuracy_and_bytes(rows, CLASSIFIER, None)
    everything = _accuracy_and_bytes(rows, FINE_TUNING, None)
    sentences = []
    for name, cost in rows:
        found = _accuracy_and_bytes(rows, name, cost)
        if name != SWR or found is None:
            continue
        accuracy, num_bytes = found
        sentence = f"{task}: SWR at {cost:g} gets {accuracy:.1%} right"
        if classifier:
            sentence += (
                f", {100 * (accuracy - classifier[0]):+.1f} points against the classifier alone, "
                f"for {num_bytes - classifier[1]:,.0f} more bytes of flash"
            )
        else:
            sentence += f" with {num_bytes:,.0f} bytes of flash"
        if everything:
            sentence += f"; a model of its own takes {everything[1]:,.0f}, and gets "
            sentence += f"{everything[0]:.1%} right"
        sentences.append(f"{sentence}.")
    return "\n".join(sentences)


def _accuracy_and_bytes(rows, name, cost):
    """Means over repetitions, of a method that has this target cost, or but one; `None` without."""
    for (other, other_cost), results in rows.items():
        if other == name and cost in (None, other_cost):
            if all(result.flash_bytes is not None for result in results):
                return (
                    fmean(result.testing_accuracy for result in results),
                    fmean(result.flash_bytes for result in results),
                )
    return None


def _task(run, task):
    rows = [_HEADINGS, *(_cells(result) for result in run.of_task(task.name))]
    lead = (
        f"{task.name}: accuracy on {task.examples['validation']} validation and "
        f"{task.examples['testing']} test examples, {len(task.labels)} classes"
    )
    return "\n".join([lead, *aligned(rows)])


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


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
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
