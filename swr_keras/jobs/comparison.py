"""Results of several runs side by side, as Markdown tables."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from swr_keras.jobs.result import CLASSIFIER, FINE_TUNING, SWR
from swr_keras.jobs.run import Run, TaskFacts

_CONTROLS = ("random policy", "last layers first")
_BACKBONE = ("pretrained", "backbone")
_PATHS = ("base", "data_dir", "noise_dir", "output_dir", "test_dir")
_AVERAGED = ("validation_accuracy", "testing_accuracy", "achieved_cost")

Row = tuple[str, float | None]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One task of one run."""

    task: TaskFacts
    base: str
    seed: int
    settings: dict[str, Any]
    rows: dict[Row, dict[str, float]]


def comparison(runs: Iterable[Run], defaults: Mapping[str, Any] | None = None) -> str:
    """Returns a Markdown table for each task and base, over the seeds of several runs.

    Rows of one name and target cost are averaged within a run (the random policies), then over
    runs; the interval is Student's over runs. *Share of the gap* is (accuracy - classifier-only) /
    (fine-tuning all - classifier-only) on the test examples, run by run, where fine-tuning all is
    the better. Below the tables stands by how much SWR surpasses its controls: the mean over tasks
    of each seed, averaged over seeds, since tasks of a seed share their base.

    Args:
        runs: The runs.
        defaults: Values of settings for runs that were made before there were such settings.

    Raises:
        ValueError: If there are no runs, or runs of a task differ in more than seed, paths and
            backbone, in their data, or in what they measured.
    """
    entries = [_entry(run, task, dict(defaults or {})) for run in runs for task in run.tasks]
    if not entries:
        raise ValueError("A comparison needs one or more runs. Received: none.")
    sections = []
    for _, members in sorted(_grouped(entries, lambda entry: entry.task.name).items()):
        _check_alike(members)
        for group in _grouped(members, lambda entry: entry.base).values():
            _check_repeated(group)
            sections.append(_section(group))
    bases = _grouped(entries, lambda entry: entry.base)
    for base, members in bases.items():
        where = f" on {base}" if len(bases) > 1 else ""
        sections += _surpluses(list(_grouped(members, lambda entry: entry.seed).values()), where)
    return "\n\n".join(sections)


def _entry(run, task, defaults):
    settings = json.loads(json.dumps({**defaults, **run.settings}))  # Tuples are lists in files.
    base = next((settings[name] for name in _BACKBONE if settings.get(name)), None)
    if base is None:
        base = run.base.name if run.base else "base"
    seed = settings.get("seed")
    if not isinstance(base, str) or not isinstance(seed, int):
        raise ValueError(
            "A run that is compared needs an integer as its setting seed, and the name of its "
            f"backbone. Received: seed={seed!r}, backbone={base!r}."
        )
    rows = {key: _average(results) for key, results in run.rows(task.name).items()}
    return _Entry(task, base, seed, settings, rows)


def _average(results):
    row = {name: _mean(getattr(result, name) for result in results) for name in _AVERAGED}
    return {**row, "layers": _mean(_num_layers(result) for result in results)}


def _mean(values):
    """The mean of what is known, or NaN."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else np.nan


def _num_layers(result):
    return None if result.changed_layers is None else len(result.changed_layers)


def _grouped(entries: Iterable[_Entry], key: Callable[[_Entry], Any]) -> dict[Any, list[_Entry]]:
    groups: dict[Any, list[_Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return groups


def _section(entries):
    task, base = entries[0].task, entries[0].base
    return (
        f"**{task.name}** ({base}, {_seeds(len(entries))}; accuracy on "
        f"{task.examples['validation']} validation and {task.examples['testing']} test examples)"
        "\n\n" + "\n".join(_table([entry.rows for entry in entries]))
    )


def _table(runs):
    yield "| method | target cost | achieved | layers | validation | test | share of the gap |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, cost in runs[0]:
        rows = [run[name, cost] for run in runs]
        cells = [
            name.replace("|", r"\|"),
            "" if cost is None else f"{cost:g}",
            _known([row["achieved_cost"] for row in rows], ".3f"),
            _known([row["layers"] for row in rows], ".3g"),
            _interval([100 * row["validation_accuracy"] for row in rows], ".1f"),
            _interval([100 * row["testing_accuracy"] for row in rows], ".1f"),
        ]
        adapted = not np.isnan(rows[0]["achieved_cost"])
        if adapted and all(_gap(run) > 0 for run in runs):
            shares = [_share(run, row) for run, row in zip(runs, rows, strict=True)]
            cells.append(_interval(shares, ".2f"))
        else:
            cells.append("")
        yield "| " + " | ".join(cells) + " |"


def _gap(run):
    lower, upper = _test(run, CLASSIFIER), _test(run, FINE_TUNING)
    return 0.0 if lower is None or upper is None else upper - lower


def _share(run, row):
    return (row["testing_accuracy"] - _test(run, CLASSIFIER)) / _gap(run)


def _test(run, method):
    """Test accuracy of a method that has one target cost, or none."""
    return next((row["testing_accuracy"] for (name, _), row in run.items() if name == method), None)


def _surpluses(seeds, where):
    for control in _CONTROLS:
        costs = {
            cost for entries in seeds for e in entries for name, cost in e.rows if name == control
        }
        parts = []
        for cost in sorted(cost for cost in costs if cost is not None):
            each = [fmean(found) for runs in seeds if (found := _points(runs, control, cost))]
            if each:
                parts.append(f"{_interval(each, '+.1f')} at c = {cost:g} ({_seeds(len(each))})")
        if parts:
            yield f"Test accuracy of SWR minus {control}{where}, in points: {', '.join(parts)}."


def _points(entries, control, cost):
    """By how many points SWR surpasses a control in each of the entries that have both."""
    pairs = [(entry.rows.get((SWR, cost)), entry.rows.get((control, cost))) for entry in entries]
    return [
        100 * (ours["testing_accuracy"] - theirs["testing_accuracy"])
        for ours, theirs in pairs
        if ours and theirs
    ]


def _seeds(count):
    return "1 seed" if count == 1 else f"{count} seeds"


def _known(values: Sequence[float], form: str) -> str:
    return "" if np.isnan(values).any() else format(fmean(values), form)


def _interval(values: Sequence[float], form: str) -> str:
    if np.isnan(values).any() or len(values) < 2:
        return _known(values, form)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{fmean(values):{form}} ± {format(half, form.lstrip('+'))}"


def _check_alike(entries):
    """Raises ValueError if entries of a task differ in settings or data."""
    first, uncompared = entries[0], {"seed", *_BACKBONE, *_PATHS}
    for other in entries[1:]:
        names = sorted({*first.settings, *other.settings} - uncompared)
        missing = object()
        different = [
            name
            for name in names
            if first.settings.get(name, missing) != other.settings.get(name, missing)
        ]
        if different:
            raise ValueError(
                f"The runs of task '{first.task.name}' differ in more than the seed and the "
                f"backbone: in {different}. Pass runs of the same settings."
            )
        if (first.task.labels, first.task.examples) != (other.task.labels, other.task.examples):
            raise ValueError(
                f"The runs of task '{first.task.name}' have other classes or other numbers of "
                f"examples. Received: {first.task.labels}, {first.task.examples} and "
                f"{other.task.labels}, {other.task.examples}. Pass runs on the same data."
            )


def _check_repeated(entries):
    """Raises ValueError if entries of a task and a base can't be averaged."""
    name, base = entries[0].task.name, entries[0].base
    seeds = [entry.seed for entry in entries]
    if len(set(seeds)) < len(seeds):
        raise ValueError(
            f"Runs of task '{name}' on {base} share a seed: {seeds}. Pass each run once."
        )
    measured = [set(entry.rows) for entry in entries]
    if differing := set.union(*measured) - set.intersection(*measured):
        raise ValueError(
            f"Only some of the runs of task '{name}' on {base} have results of "
            f"{sorted(differing, key=str)}. Pass runs of the same settings, and bases of the same "
            "kind."
        )
