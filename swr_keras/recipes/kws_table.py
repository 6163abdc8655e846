r"""Results of several keyword-spotting runs side by side, as a Markdown table.

Runs that differ in nothing but the seed are averaged, with 95 % confidence intervals:

  python -m swr_keras.recipes.kws_table runs/seed0 runs/seed1 runs/seed2
"""

import json
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import app
from scipy import stats

from swr_keras.reporting.results import CLASSIFIER, SWR

_LOWER, _UPPER = CLASSIFIER, "fine-tuning all"
_CONTROLS = ("random policy", "last layers first")
_TEST = "testing_accuracy"
_UNCOMPARED = ("seed", "output_dir", "base")


def comparison(runs: Iterable[dict[str, Any]]) -> str:
    """Returns a Markdown table of the results of several runs.

    Rows of one method and target cost are averaged within a run (the random policies), then over
    the runs of one task; the interval is Student's over runs. *Share of the gap* is (accuracy -
    classifier-only) / (fine-tuning all - classifier-only) on the test clips, run by run, where
    fine-tuning all is the better. Below the tables stands by how much SWR surpasses its controls:
    the mean over tasks of each seed, averaged over seeds, since tasks of a seed share their base.

    Args:
        runs: Contents of `metrics.json` files.

    Raises:
        ValueError: If runs of a task differ in more than the seed, or in what they measured.
    """
    tasks: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        tasks.setdefault(run["task"], []).append(run)
    sections: list[str] = []
    seeds: dict[int, list[dict[tuple[str, float | None], Any]]] = {}
    for task, members in sorted(tasks.items()):
        _check_comparable(task, members)
        clips, averages = members[0]["clips"], [_averages(run) for run in members]
        settings = members[0]["settings"]
        base = settings.get("pretrained") or settings["backbone"]
        sections.append(
            f"**{task}** ({base}, {_seeds(len(members))}; accuracy on "
            f"{clips['validation']} validation and {clips['testing']} test clips)\n\n"
            + "\n".join(_table(averages))
        )
        for run, average in zip(members, averages, strict=True):
            seeds.setdefault(run["settings"]["seed"], []).append(average)
    return "\n\n".join([*sections, *_surpluses(list(seeds.values()))])


def _table(averages):
    yield "| method | target cost | achieved | layers | validation | test | share of the gap |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for key in averages[0]:
        rows = [run[key] for run in averages]
        method, cost = key
        cells = [method, *[""] * 3]
        if cost is not None:
            achieved = np.mean([row["achieved_cost"] for row in rows])
            layers = np.mean([row["layers"] for row in rows])
            cells = [method, f"{cost:g}", f"{achieved:.3f}", f"{layers:.3g}"]
        for split in ("validation_accuracy", _TEST):
            cells.append(_interval([100 * row[split] for row in rows], ".1f"))
        lower, upper = (_LOWER, 0.0), (_UPPER, 1.0)
        share = ""
        if cost is not None and all(_gap(run, lower, upper) > 0 for run in averages):
            share = _interval([_share(run, run[key], lower, upper) for run in averages], ".2f")
        yield "| " + " | ".join([*cells, share]) + " |"


def _surpluses(seeds):
    for control in _CONTROLS:
        costs = {cost for runs in seeds for run in runs for name, cost in run if name == control}
        parts = []
        for cost in sorted(costs):
            each = [np.mean(found) for runs in seeds if (found := _points(runs, control, cost))]
            parts.append(f"{_interval(each, '+.1f')} at c = {cost:g} ({_seeds(len(each))})")
        if parts:
            yield f"Test accuracy of SWR minus {control}, in points: {', '.join(parts)}."


def _points(runs, control, cost):
    """By how many points SWR surpasses a control in each of the runs that have both."""
    pair = (SWR, cost), (control, cost)
    return [
        100 * (run[pair[0]][_TEST] - run[pair[1]][_TEST]) for run in runs if set(pair) <= run.keys()
    ]


def _averages(run):
    """Means of the rows of one method and cost, in the order of the run."""
    groups: dict[tuple[str, float | None], list[dict[str, Any]]] = {}
    for row in run["results"]:
        groups.setdefault((row["method"], row.get("target_cost")), []).append(row)
    names = ("validation_accuracy", _TEST, "achieved_cost")
    return {
        key: {
            **{name: np.mean([row.get(name, np.nan) for row in rows]) for name in names},
            "layers": np.mean([len(row.get("changed_layers", ())) for row in rows]),
        }
        for key, rows in groups.items()
    }


def _gap(run, lower, upper):
    return run[upper][_TEST] - run[lower][_TEST] if {lower, upper} <= run.keys() else 0.0


def _share(run, row, lower, upper):
    return (row[_TEST] - run[lower][_TEST]) / _gap(run, lower, upper)


def _seeds(count):
    return "1 seed" if count == 1 else f"{count} seeds"


def _interval(values: Sequence[float], form: str) -> str:
    mean = format(np.mean(values), form)
    if len(values) < 2:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean} ± {format(half, form.lstrip('+'))}"


def _check_comparable(task, runs):
    described = [
        {name: value for name, value in run["settings"].items() if name not in _UNCOMPARED}
        for run in runs
    ]
    for other in described[1:]:
        names = sorted({*other, *described[0]})
        different = [name for name in names if other.get(name) != described[0].get(name)]
        if different:
            raise ValueError(
                f"The runs of task '{task}' differ in more than the seed: in {different}. Pass "
                "runs of the same flags."
            )
    seeds = [run["settings"]["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"Runs of task '{task}' share a seed: {seeds}. Pass each run once.")
    measured = [set(_averages(run)) for run in runs]
    differing = set().union(*measured) - set.intersection(*measured)
    if differing:
        raise ValueError(
            f"Only some of the runs of task '{task}' have results of {sorted(differing, key=str)}. "
            "Pass runs of the same flags, and bases of the same kind."
        )


def main(argv):
    folders = [pathlib.Path(name) for name in argv[1:]]
    found = {folder: sorted(folder.glob("*/metrics.json")) for folder in folders}
    empty = [str(folder) for folder, paths in found.items() if not paths]
    if empty or not found:
        print(f"Error: expected folders of runs, without results: {empty}.", file=sys.stderr)
        return 1
    try:
        print(comparison(json.loads(p.read_text()) for paths in found.values() for p in paths))
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
