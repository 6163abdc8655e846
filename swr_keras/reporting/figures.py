"""The figures of a report as SVG images that a page holds itself."""

import base64
import dataclasses
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import (
    MaxNLocator,
    PercentFormatter,
)

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#8a4f7d"
_YELLOW = "#c9a000"
_GREY, _PALE = "#666666", "#d9d9d9"
COLOURS = (_BLUE, _ORANGE, _GREEN, _PURPLE, _YELLOW)
_KIND_COLOURS = {
    "pointwise": _BLUE,
    "depthwise": _ORANGE,
    "convolution": _GREEN,
    "separable": _PURPLE,
    "dense": _PURPLE,
    "normalization": _YELLOW,
}
_KIND_NAMES = {
    "pointwise": "pointwise (1x1) convolution, changed",
    "depthwise": "depthwise convolution, changed",
    "convolution": "other convolution, changed",
    "separable": "separable convolution, changed",
    "dense": "dense, changed",
    "normalization": "batch norm of its own, changed",
}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": _GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,
}
_METADATA = ("Creator", "Date", "Format", "Type")
_PIXELS_PER_INCH = 96
_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image as a page shows it.

    Attributes:
        svg: The image.
        alt: What it is, for readers who can't see it.
        width, min_width: Its natural width, and the least that is readable, in pixels.
    """

    svg: bytes
    alt: str
    width: int
    min_width: int

    @property
    def source(self) -> str:
        """The image as a `data:` URL."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


def learning_curves(history: Mapping[str, Sequence[float | None]], title: str) -> Picture:
    """Draws loss and accuracy of one stage over its epochs, training and validation.

    A stage without accuracy, as the policy search, shows its cost instead.

    Args:
        history: Values by epoch, as in `keras.callbacks.History.history`; `None` leaves a gap.
        title: What the stage is, for readers who can't see the figure.
    """
    losses = {"loss": "training", "val_loss": "validation"}
    if "task_loss" in history:
        losses = {"task_loss": "task loss", "cost_loss": "cost loss"}
    scores = {"accuracy": "training", "val_accuracy": "validation"}
    heading = "accuracy"
    if "accuracy" not in history:
        scores = {"tracking_error": "training"}
        heading = "mean of |expected cost - target cost|"
    with matplotlib.rc_context(STYLE):
        figure = Figure((5.2, 2.1))
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.08, right=0.99, bottom=0.19, top=0.89, wspace=0.26)
        _draw_epochs(left, history, losses, "loss")
        _draw_epochs(right, history, scores, heading)
        if heading == "accuracy":
            right.yaxis.set_major_locator(MaxNLocator(nbins=5))
            right.yaxis.set_major_formatter(PercentFormatter(1.0))
        return as_picture(figure, f"Learning curves of {title}", min_inches=3.4)


def _draw_epochs(axes, history, names, title):
    for key, colour in zip(names, (_BLUE, _ORANGE), strict=False):
        if key in history:
            values = np.asarray(history[key], float)
            marker = "o" if len(values) < 4 else None
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=names[key], marker=marker, markersize=3)
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.margins(x=0.02)
    if axes.lines and len(names) > 1:
        axes.legend(fontsize=7)


def cost_tracking(
    curve: dict[str, Any], trained: Sequence[tuple[float, float]], title: str
) -> Picture:
    """Draws achieved against target cost over the whole range, as fig. 2a of arXiv 2302.13435.

    Args:
        curve: What `policy_curve` returned.
        trained: Target and achieved cost of the models that were trained.
        title: As for `learning_curves`.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((5.2, 4.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.97, bottom=0.11, top=0.98)
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="ideal")
        for key, colour, label in (
            ("expected", _BLUE, "expected of a draw"),
            ("threshold", _ORANGE, "achieved, threshold reading"),
            ("budget", _GREEN, "achieved, budget reading"),
        ):
            axes.plot(curve["costs"], curve[key], color=colour, linewidth=1.5, label=label)
        if trained:
            axes.plot(*zip(*trained, strict=True), "ko", markersize=5, label="trained in this run")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="target cost", ylabel="cost")
        axes.grid(color=_PALE, linewidth=0.5)
        axes.legend(loc="upper left")
        return as_picture(figure, f"Achieved against target cost of {title}", min_inches=3.4)


def policy_picture(
    curve: dict[str, Any], choices: Sequence[tuple[str, Sequence[str]]], title: str
) -> Picture:
    """Draws which layers are changed, one row a choice, as fig. 2b of arXiv 2302.13435.

    Layers stand in the order of the network; the height of a bar is the layer's share of the
    base. Depthwise layers are so small that they have panels of their own, with another
    scale.

    Args:
        curve: What `policy_curve` returned.
        choices: A label and the paths of the changed layers for each row.
        title: As for `learning_curves`.
    """
    total = sum(curve["sizes"])
    bars = [
        (path, count / total, kind if kind in _KIND_COLOURS else "convolution")
        for path, count, kind in zip(curve["layers"], curve["sizes"], curve["kinds"], strict=True)
    ]
    present = {kind for _, _, kind in bars}
    groups = [
        (name, kinds & present)
        for name, kinds in (
            ("All but depthwise layers", set(_KIND_COLOURS) - {"depthwise"}),
            ("Depthwise layers", {"depthwise"}),
        )
        if kinds & present
    ]
    longest = max(len(path) for path, _, _ in bars)
    width = max(6.0, 1.3 + 0.19 * len(bars))
    height = 0.6 + len(groups) * (0.4 + 0.5 * len(choices)) + 0.062 * longest
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, kinds) in zip(panels, groups, strict=True):
            shown = [(x, *bar) for x, bar in enumerate(bars) if bar[2] in kinds]
            _draw_choices(axes, shown, choices)
            tallest = max(share for _, _, share, _ in shown)
            axes.set_title(f"{name} (tallest bar: {tallest:.1%})", fontsize=8, loc="left")
        panels[-1].set_xlim(-0.8, len(bars) - 0.2)
        panels[-1].set_xticks(range(len(bars)), [legible(path) for path, *_ in bars], rotation=90)
        panels[-1].tick_params(axis="x", labelsize=7)
        figure.legend(handles=_legend(present), loc="outside upper left", ncols=2)
        return as_picture(figure, f"Layers that {title} changes", min_inches=0.8 * width)


def _draw_choices(axes, bars, choices):
    """Draws a row of bars for each choice; a row is one unit high."""
    tallest = max(share for _, _, share, _ in bars)
    for row, (_, changed) in enumerate(choices):
        floor = len(choices) - 1 - row
        axes.axhline(floor, color=_PALE, linewidth=0.8)
        axes.bar(
            [x for x, *_ in bars],
            [0.8 * share / tallest for _, _, share, _ in bars],
            bottom=floor,
            color=[_KIND_COLOURS[kind] if path in changed else _PALE for _, path, _, kind in bars],
        )
    labels = [label for label, _ in reversed(choices)]
    axes.set_yticks([floor + 0.4 for floor in range(len(choices))], labels)
    axes.set_ylim(-0.05, len(choices))
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _legend(present):
    handles = [
        Patch(color=colour, label=_KIND_NAMES[kind])
        for kind, colour in _KIND_COLOURS.items()
        if kind in present
    ]
    return [*handles, Patch(color=_PALE, label="as in the base")]


def legible(text: str) -> str:
    """Returns a text with a mark for each character that XML can't have."""
    return _NOT_XML.sub("\ufffd", text)


def as_picture(figure: Figure, alt: str, *, min_inches: float) -> Picture:
    """Returns the figure as an image; same figure, same bytes.

    Text stays text: an image takes the fonts of the reader's system, which has those of the
    reader's scripts, whereas matplotlib's own lack most.
    """
    with matplotlib.rc_context({"svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        buffer = io.BytesIO()
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(_METADATA))
    return Picture(
        svg=buffer.getvalue(),
        alt=alt,
        width=round(figure.get_size_inches()[0] * _PIXELS_PER_INCH),
        min_width=round(min_inches * _PIXELS_PER_INCH),
    )
