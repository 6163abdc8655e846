"""The figures of a deployment: what more tasks take, and how well they do for it."""

import dataclasses
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from swr_keras.device import FlashBytes
from swr_keras.jobs.accuracy import Accuracy
from swr_keras.reporting.figures import COLOURS, STYLE, Picture, as_picture, legible
from swr_keras.reporting.intervals import wilson_interval

FORMS = {"file_bytes": "separate files", "bundle_bytes": "one bundle", "c_bytes": "C tables"}
"""The ways to put tasks into flash, as people call them."""

EXPECTED_TASKS = 10
"""How many tasks the figure of growth goes up to, if there aren't more."""

_FILE, _BUNDLE, _C = "#666666", COLOURS[0], COLOURS[2]
_LOOKS = {"file_bytes": (_FILE, "s"), "bundle_bytes": (_BUNDLE, "o"), "c_bytes": (_C, "D")}
_PALE = "#d9d9d9"
_INCHES = 5.2
_LETTER_INCHES = 0.062
_LEAST_GAP = 0.065
_STEPS = (1, 2, 5, 10)


@dataclasses.dataclass(frozen=True)
class PlacedTask:
    """A task in `accuracy_of_tasks`: its name, what it takes of flash, and how well it does."""

    name: str
    size: FlashBytes
    accuracy: Accuracy


def further_bytes(growth: Sequence[FlashBytes]) -> dict[str, float]:
    """Returns the mean bytes that a further task takes in each form; empty for a single task."""
    steps = len(growth) - 1
    if steps < 1:
        return {}
    first, last = growth[0], growth[-1]
    return {form: (getattr(last, form) - getattr(first, form)) / steps for form in FORMS}


def growth_of_flash(growth: Sequence[FlashBytes]) -> Picture:
    """Draws the bytes of flash against the number of tasks.

    Beyond the measured ones, up to `EXPECTED_TASKS`, lines go on dashed by the mean of the further
    tasks.

    Args:
        growth: As in `device.DeploymentSizes`.
    """
    further = further_bytes(growth)
    count = len(growth)
    with matplotlib.rc_context(STYLE):
        figure = Figure((_INCHES, 3.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.16, right=0.97, bottom=0.14, top=0.97)
        for form, name in FORMS.items():
            colour, marker = _LOOKS[form]
            sizes = [getattr(each, form) for each in growth]
            label = f"{name}: {further[form]:,.0f} a further task" if further else name
            axes.plot(
                range(1, count + 1),
                sizes,
                color=colour,
                marker=marker,
                markersize=5,
                label=label,
                zorder=3,
            )
            if further and count < EXPECTED_TASKS:
                end = sizes[-1] + (EXPECTED_TASKS - count) * further[form]
                axes.plot([count, EXPECTED_TASKS], [sizes[-1], end], color=colour, linestyle="--")
        handles, _ = axes.get_legend_handles_labels()
        if further and count < EXPECTED_TASKS:
            dashed = "not measured: by the mean of further tasks"
            handles.append(Line2D([], [], color=_FILE, linestyle="--", linewidth=1, label=dashed))
        axes.set_xlim(0.6, max(count, EXPECTED_TASKS) + 0.4)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set(xlabel="tasks in flash", ylabel="bytes of flash, without code")
        axes.grid(color=_PALE, linewidth=0.5)
        axes.legend(handles=handles, loc="upper left", fontsize=7)
        return as_picture(figure, "Bytes of flash by the number of tasks", min_inches=3.4)


def accuracy_of_tasks(tasks: Sequence[PlacedTask]) -> Picture:
    """Draws the test accuracy of each task against the bytes that it takes beside the others.

    Args:
        tasks: Tasks whose accuracy as int8 is known, one or more.
    """
    longest = max(len(legible(task.name)) for task in tasks)
    margin = (0.3 + _LETTER_INCHES * longest) / _INCHES
    with matplotlib.rc_context(STYLE):
        figure = Figure((_INCHES, 3.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.13, right=1 - margin, bottom=0.14, top=0.85)
        for task in tasks:
            _draw_task(axes, task)
        axes.set_xlim(left=0)
        axes.margins(y=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=_STEPS))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=_STEPS))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("bytes of flash that the task takes beside the others")
        axes.set_ylabel("test accuracy")
        axes.grid(color=_PALE, linewidth=0.5)
        _write_names(axes, tasks)
        figure.legend(handles=_legend(tasks), loc="upper left", ncols=2, fontsize=7)
        return as_picture(figure, "Test accuracy of each task by its bytes", min_inches=3.4)


def _draw_task(axes, task):
    accuracy = task.accuracy
    places = {form: getattr(task.size, form) for form in ("bundle_bytes", "c_bytes")}
    axes.plot(places.values(), [accuracy.as_int8] * 2, color=_PALE, linewidth=1.5, zorder=1)
    for form, x in places.items():
        colour, marker = _LOOKS[form]
        if accuracy.examples is not None:
            ends = wilson_interval(accuracy.as_int8, accuracy.examples)
            axes.plot([x, x], ends, color=colour, linewidth=0.8, alpha=0.6, zorder=2)
        axes.plot(x, accuracy.as_int8, color=colour, marker=marker, markersize=6, zorder=4)
        if accuracy.as_float is not None:
            axes.plot(
                x,
                accuracy.as_float,
                color=colour,
                marker=marker,
                markersize=8,
                markerfacecolor="none",
                markeredgewidth=0.8,
                zorder=3,
            )


def _write_names(axes, tasks):
    """Writes names beside the axes at the height of their tasks, or near where that is taken."""
    low, high = axes.get_ylim()
    ordered = sorted(tasks, key=lambda task: task.accuracy.as_int8)
    heights = [(task.accuracy.as_int8 - low) / (high - low) for task in ordered]
    for task, height in zip(ordered, _apart(heights), strict=True):
        axes.annotate(
            legible(task.name),
            (task.size.bundle_bytes, task.accuracy.as_int8),
            xytext=(1.03, height),
            textcoords="axes fraction",
            fontsize=7,
            va="center",
            arrowprops={"arrowstyle": "-", "color": _PALE, "linewidth": 0.5},
            zorder=1,
        )


def _apart(heights):
    """Moves rising heights so that names have room, below the top as far as there is any."""
    lowest, moved = -1.0, []
    for height in heights:
        lowest = max(height, lowest + _LEAST_GAP)
        moved.append(lowest)
    highest = 1.0 + _LEAST_GAP
    for index in reversed(range(len(moved))):
        highest = min(moved[index], highest - _LEAST_GAP)
        moved[index] = highest
    return moved


def _legend(tasks):
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"int8, {FORMS[form]}")
        for form, (colour, marker) in _LOOKS.items()
        if form != "file_bytes"
    ]
    if any(task.accuracy.as_float is not None for task in tasks):
        handles.append(
            Line2D(
                [],
                [],
                color=_FILE,
                marker="o",
                markersize=7,
                markerfacecolor="none",
                linestyle="none",
                label="hollow: float, before int8",
            )
        )
    if any(task.accuracy.examples is not None for task in tasks):
        handles.append(Line2D([], [], color=_FILE, linewidth=0.8, label="95 % interval, int8"))
    return handles
