"""Methods by their accuracy and the bytes of flash that they take."""

import dataclasses
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from swr_keras.reporting.figures import COLOURS, STYLE, Picture, as_picture, legible

MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
_GREY, _PALE = "#666666", "#d9d9d9"
_WIDE = 50  # From here on, labels of 1, 2 and 5 would touch.


@dataclasses.dataclass(frozen=True)
class Arm:
    """A method in `accuracy_per_byte`.

    Attributes:
        name: Its name.
        points: Bytes of flash and accuracy in [0, 1], one or more.
        is_ours: Whether it is the one that the page is about.
    """

    name: str
    points: Sequence[tuple[float, float]]
    is_ours: bool


def accuracy_per_byte(arms: Sequence[Arm], title: str) -> Picture:
    """Draws test accuracy against the bytes of flash that one more task takes.

    Args:
        arms: The methods.
        title: The task.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((5.2, 3.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.11, right=0.97, bottom=0.14, top=0.91)
        draw_arms(axes, arms, [_GREY])
        axes.set_xlabel("bytes of flash that one more task takes")
        axes.set_title(f"{legible(title)}: test accuracy", fontsize=9)
        axes.legend(loc="lower right", fontsize=7)
        return as_picture(figure, f"Test accuracy of {title} by bytes of flash", min_inches=3.4)


def draw_arms(axes: Axes, arms: Sequence[Arm], colours: Sequence[str]) -> None:
    """Draws accuracy against bytes of flash, ours so that it stands out.

    Args:
        axes: Where.
        arms: The methods.
        colours: Those of the others, in turn.
    """
    for number, arm in enumerate(arms):
        x, y = zip(*sorted(arm.points), strict=True)
        axes.plot(
            x,
            y,
            color=COLOURS[0] if arm.is_ours else colours[number % len(colours)],
            linewidth=2.0 if arm.is_ours else 0.9,
            marker="o" if arm.is_ours else MARKERS[number % len(MARKERS)],
            markersize=7 if arm.is_ours else 5,
            label=legible(arm.name),
            zorder=3 if arm.is_ours else 2,
        )
    sizes = [size for arm in arms for size, _ in arm.points]
    is_wide = max(sizes) > _WIDE * min(sizes)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if is_wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.margins(x=0.08, y=0.08)
    axes.grid(color=_PALE, linewidth=0.5)
