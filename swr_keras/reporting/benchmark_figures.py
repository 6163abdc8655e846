"""The figures of a benchmark."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from swr_keras.reporting.arm_figure import MARKERS, Arm, draw_arms
from swr_keras.reporting.figures import COLOURS, STYLE, Picture, as_picture, legible

_OURS, _GREY, _PALE = COLOURS[0], "#666666", "#d9d9d9"
_OTHERS = (*COLOURS[1:], "#56b4e9", "#000000", "#999999")
_OPEN = 0.5


def all_methods(arms: Sequence[Arm], level: float | None, title: str) -> Picture:
    """Draws accuracy against the bytes of flash that one more task takes, of all methods.

    Args:
        arms: The methods.
        level: Accuracy of a base that knows the classes of all tasks, and takes no more bytes.
        title: What they adapt, for people.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((7.0, 4.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.68, bottom=0.12, top=0.93)
        draw_arms(axes, arms, _OTHERS)
        if level is not None:
            axes.axhline(level, color=_GREY, linestyle="--", linewidth=1, label="multi-lingual")
        axes.set_xlabel("bytes of flash that one more task takes, mean over tasks")
        axes.set_title(f"{legible(title)}: test accuracy, mean over tasks", fontsize=9)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7)
        return as_picture(figure, f"Test accuracy of {title} by bytes of flash", min_inches=5.0)


def achieved_costs(searches: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Picture:
    """Draws achieved against target cost of several searches, as fig. 2a of arXiv 2302.13435.

    Args:
        searches: Curves, as `LearnedPolicies.curve` returns them, by what they are of; those of
            one name are averaged.
        title: What they are of, for people.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((7.0, 4.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, reading in zip(panels, ("threshold", "budget"), strict=True):
            axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="ideal")
            for number, (name, curves) in enumerate(searches.items()):
                costs = np.asarray(curves[0]["costs"])
                achieved = np.mean([curve[reading] for curve in curves], axis=0)
                axes.plot(
                    costs[costs > 0],
                    achieved[costs > 0],
                    color=COLOURS[number % len(COLOURS)],
                    linewidth=1.5,
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=3,
                    label=legible(name),
                )
            axes.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="target cost")
            axes.set_title(f"{reading} reading", fontsize=8)
            axes.grid(color=_PALE, linewidth=0.5)
        panels[0].set_ylabel("achieved cost")
        lines, labels = panels[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center", ncols=3, fontsize=7)
        return as_picture(figure, f"Achieved against target cost of {title}", min_inches=5.0)


def policy_map(curves: Sequence[Mapping[str, Any]], title: str) -> Picture:
    """Draws which layers are changed at which target cost, as fig. 2b of arXiv 2302.13435.

    Args:
        curves: As `LearnedPolicies.curve` returns them, one for each repetition.
        title: What they are of, for people.
    """
    layers, costs = curves[0]["layers"], curves[0]["costs"]
    opened = np.mean([np.asarray(c["probabilities"]) > _OPEN for c in curves], axis=0)
    longest = max(map(len, layers))
    width = max(5.0, 1.2 + 0.19 * len(layers))
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, 2.6 + 0.062 * longest), layout="constrained")
        axes = figure.subplots()
        step = (costs[1] - costs[0]) / 2 if len(costs) > 1 else 0.5
        image = axes.imshow(
            opened,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            cmap="Blues",
            vmin=0.0,
            vmax=1.0,
            extent=(-0.5, len(layers) - 0.5, costs[0] - step, costs[-1] + step),
        )
        axes.set_xticks(range(len(layers)), [legible(path) for path in layers], rotation=90)
        axes.tick_params(axis="x", labelsize=7, length=0)
        axes.set_ylabel("target cost")
        axes.set_title(legible(title), fontsize=9)
        if len(curves) > 1:
            bar = figure.colorbar(image, ax=axes, pad=0.01)
            bar.set_label(f"share of {len(curves)} repetitions", fontsize=7)
        return as_picture(
            figure, f"Layers that {title} changes by target cost", min_inches=0.8 * width
        )
