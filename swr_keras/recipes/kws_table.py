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
    classifier-only) / (fine-tuning all - classifier-only) on the test clips, run by run. Below the
    tables stands by how much SWR surpasses its controls, run by run, over all tasks.

    Args:
        runs: Contents of `metrics.json` files.

    Raises:
        ValueError: If runs of a task differ in more than the seed.
    """
    tasks: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        tasks.setdefault(run["task"], []).append(run)
    sections, everything = [], []
    for task, members in sorted(tasks.items()):
        _check_comparable(task, members)
        clips, averages = members[0]["clips"], [_averages(run) for run in members]
        settings = members[0]["settings"]
        base = settings.get("pretrained") or settings["backbone"]
        seeds = "1 seed" if len(members) == 1 else f"{len(members)} seeds"
        sections.append(
            f"**{task}** ({base}, {seeds}; accuracy on "
            f"{clips['validation']} validation and {clips['testing']} test clips)\n\n"
            + "\n".join(_table(averages))
        )
        everything += averages
    return "\n\n".join([*sections, *_surpluses(everything)])


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
        if cost is not None and lower in averages[0] and upper in averages[0]:
            share = _interval([_share(run, run[key], lower, upper) for run in averages], ".2f")
        yield "| " + " | ".join([*cells, share]) + " |"


def _surpluses(averages):
    for control in _CONTROLS:
        costs = {cost for run in averages for method, cost in run if method == control}
        surpluses = []
        for cost in sorted(costs):
            pairs = [
                (run[SWR, cost], run[control, cost])
                for run in averages
                if {(SWR, cost), (control, cost)} <= run.keys()
            ]
            points = [100 * (swr[_TEST] - other[_TEST]) for swr, other in pairs]
            surpluses.append(f"{_interval(points, '+.1f')} at c = {cost:g} ({len(points)} runs)")
        if surpluses:
            yield f"Test accuracy of SWR minus {control}, in points: {', '.join(surpluses)}."


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


def _share(run, row, lower, upper):
    low, high = (run[key][_TEST] for key in (lower, upper))
    return (row[_TEST] - low) / (high - low)


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
        different = [name for name in other if other[name] != described[0].get(name)]
        if different:
            raise ValueError(
                f"The runs of task '{task}' differ in more than the seed: in {different}. Pass "
                "runs of the same flags."
            )
    seeds = [run["settings"]["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"Runs of task '{task}' share a seed: {seeds}. Pass each run once.")


def main(argv):
    folders = [pathlib.Path(name) for name in argv[1:]]
    paths = [path for folder in folders for path in sorted(folder.glob("*/metrics.json"))]
    if not paths:
        print("Error: no metrics.json in these folders; name folders of runs.", file=sys.stderr)
        return 1
    try:
        print(comparison(json.loads(path.read_text()) for path in paths))
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
