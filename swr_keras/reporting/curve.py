"""Recall against false accepts, as a figure of its own."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from swr_keras.files import replacing
from swr_keras.reporting.figures import COLOURS, STYLE

_PIXELS_PER_INCH = 160
_MOST_PER_HOUR = 1000


class Point(Protocol):
    """What detection is worth at one threshold; `streaming.Operation` is one."""

    @property
    def recall(self) -> float:
        """Share of the keywords that were detected."""

    @property
    def false_accepts_per_hour(self) -> float:
        """False accepts per hour."""


def write_curve(path: str | os.PathLike, curves: Mapping[str, Sequence[Point]]) -> None:
    """Draws recall against false accepts per hour, up to 1,000 of these.

    Args:
        path: A `.png` or `.svg` file, written whole or not at all.
        curves: The points of each task, by its name, from the highest threshold down.

    Raises:
        OSError: If the file can't be written.
    """
    path = pathlib.Path(path)
    with matplotlib.rc_context(STYLE):
        figure = Figure((5.2, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for (name, points), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
            rates = [point.false_accepts_per_hour for point in points]
            recalls = [point.recall for point in points]
            axes.plot(rates, recalls, color=colour, label=name, drawstyle="steps-post")
        # Zero has its place beside decades.
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(xlabel="false accepts per hour", ylabel="recall", ylim=(0, 1.02))
        axes.set_xlim(0, _MOST_PER_HOUR)
        axes.grid(color="#d9d9d9", linewidth=0.5)
        axes.legend(loc="upper left")
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=_PIXELS_PER_INCH)
