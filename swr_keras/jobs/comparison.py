"""Results of several runs side by side, as Markdown tables."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from swr_keras.jobs.intervals import mean_interval, paired_difference
from swr_keras.jobs.result import CLASSIFIER, CLASSIFIER_AND_NORM, FINE_TUNING, SWR
from swr_keras.jobs.run import Run, TaskFacts

_WITHOUT_COST = (CLASSIFIER, CLASSIFIER_AND_NORM)
_CONTROLS = ("random policy", "last layers first", *_WITHOUT_COST)
_ABLATIONS = (f"{SWR}, ", f"{SWR} + ")
_BACKBONE = ("pretrained", "backbone")
_PATHS = ("base", "data_dir", "noise_dir", "output_dir", "test_dir", "unheard_noise_dir")
_AVERAGED = ("validation_accuracy", "testing_accuracy", "achieved_cost", "flash_bytes")

Row = tuple[str, float | None]
Rows = dict[Row, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One task of one run, or of the runs of one fold."""

    task: TaskFacts
    base: str
    multiplies: int | None
    seed: int
    fold: int | None
    settings: dict[str, Any]
    rows: Rows


def comparison(runs: Iterable[Run], defaults: Mapping[str, Any] | None = None) -> str:
    """Returns a Markdown table for each task and base, over the seeds or folds of several runs.

    Rows of one name and target cost are averaged within a run (the random policies), then over
    runs; the interval is Student's over runs. Of a cross-validation, the seeds of a fold are
    averaged first, and the interval is over folds. *Share of the gap* is (accuracy -
    classifier-only) / (fine-tuning all - classifier-only) on the test examples, run by run, where
    fine-tuning all is the better. Below the tables stands by how much SWR surpasses its controls
    and ablations: the mean over tasks of each seed (or fold), averaged over seeds, since tasks of a
    seed share their base.

    Args:
        runs: The runs.
        defaults: Values of settings for runs that were made before there were such settings.

    Raises:
        ValueError: If there are no runs, or runs of a task differ in more than seed, fold, paths
            and backbone, in their data, or in what they measured.
    """
    entries = [_entry(run, task, dict(defaults or {})) for run in runs for task in run.tasks]
    if not entries:
        raise ValueError("A comparison needs one or more runs. Received: none.")
    sections = []
    for _, members in sorted(_grouped(entries, lambda entry: entry.task.name).items()):
        _check_alike(members)
        for group in _grouped(members, lambda entry: entry.base).values():
            _check_repeated(group)
            sections.append(_section(_by_fold(group)))
    bases = _grouped(entries, lambda entry: entry.base)
    for base, members in bases.items():
        where = f" on {base}" if len(bases) > 1 else ""
        tasks = _grouped(members, lambda entry: entry.task.name).values()
        folded = [entry for group in tasks for entry in _by_fold(group)]
        sections += _surpluses(folded, where)
    return "\n\n".join(sections)


def _entry(run, task, defaults):
    settings = json.loads(json.dumps({**defaults, **run.settings}))  # Tuples are lists in files.
    folders = settings.get("base_data_dir") or ()
    settings["base_data_dir"] = [pathlib.PurePath(folder).name for folder in folders]
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
    fold = settings["fold"] if settings.get("folds") else None
    multiplies = run.base.multiplies if run.base else None
    return _Entry(task, base, multiplies, seed, fold, settings, rows)


def _average(results):
    conditions = dict.fromkeys(name for result in results for name in result.accuracy_in)
    return {
        **{name: _mean(getattr(result, name) for result in results) for name in _AVERAGED},
        **{name: _mean(result.accuracy_in.get(name) for result in results) for name in conditions},
        "layers": _mean(_num_layers(result) for result in results),
        "batch_norm": results[0].batch_norm,
    }


def _by_fold(entries: list[_Entry]) -> list[_Entry]:
    """Averages the seeds of each fold, where there are folds."""
    if entries[0].fold is None:
        return entries
    folds = _grouped(entries, lambda entry: entry.fold).values()
    return [dataclasses.replace(fold[0], seed=-1, rows=_mean_rows(fold)) for fold in folds]


def _mean_rows(entries) -> Rows:
    return {
        key: {
            name: value if isinstance(value, str) else fmean(e.rows[key][name] for e in entries)
            for name, value in row.items()
        }
        for key, row in entries[0].rows.items()
    }


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
    counts = [sum(e.task.examples[split] for e in entries) for split in ("validation", "testing")]
    if entries[0].fold is None:
        counts = [count // len(entries) for count in counts]
    return (
        f"**{task.name}** ({base}, {_repeats(len(entries), entries[0].fold)}; accuracy on "
        f"{counts[0]:,} validation and {counts[1]:,} test examples)\n\n"
        + "\n".join(_table([entry.rows for entry in entries]))
    )


def _table(runs: list[Rows]):
    known = {"layers", "batch_norm", *_AVERAGED}
    conditions = [name for name in next(iter(runs[0].values())) if name not in known]
    headings = (
        *("method", "batch norm", "target cost", "achieved", "layers", "flash bytes"),
        *("validation", "test", *(f"test, {name}" for name in conditions), "share of the gap"),
    )
    yield f"| {' | '.join(headings)} |"
    yield f"| --- | --- | {' | '.join(['---:'] * (len(headings) - 2))} |"
    for name, cost in runs[0]:
        rows = [run[name, cost] for run in runs]
        accuracies = ("validation_accuracy", "testing_accuracy", *conditions)
        cells = [
            name.replace("|", r"\|"),
            rows[0]["batch_norm"],
            "" if cost is None else f"{cost:g}",
            _known([row["achieved_cost"] for row in rows], ".3f"),
            _known([row["layers"] for row in rows], ".3g"),
            _known([row["flash_bytes"] for row in rows], ",.0f"),
            *(_interval([100 * row[each] for row in rows], ".1f") for each in accuracies),
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


def _surpluses(entries, where):
    every = {row for entry in entries for row in entry.rows}
    costs = sorted(cost for name, cost in every if name == SWR and cost is not None)
    ablations = {name for name, _ in every if name.startswith(_ABLATIONS)}
    for control in (*_CONTROLS, *sorted(n for n in ablations if not n.endswith(" int8"))):
        parts = []
        for cost in costs:
            surplus = paired_difference(
                _percents(entries, SWR, cost), _percents(entries, control, cost)
            )
            if surplus:
                count = _repeats(surplus.count, entries[0].fold)
                parts.append(f"{surplus:+.1f} at c = {cost:g} ({count})")
        if parts:
            yield f"Test accuracy of SWR minus {control}{where}, in points: {', '.join(parts)}."


def _percents(entries, method, cost):
    """Test accuracy of a method by seed (or fold) and task, where it's known."""
    found = {
        ((entry.seed, entry.fold), entry.task.name): _accuracy(entry.rows, method, cost)
        for entry in entries
    }
    return {key: 100 * accuracy for key, accuracy in found.items() if accuracy is not None}


def _accuracy(rows, method, cost):
    """Test accuracy of a method at a target cost, or of one that is told none."""
    if method in _WITHOUT_COST:
        return _test(rows, method)
    return rows[method, cost]["testing_accuracy"] if (method, cost) in rows else None


def _repeats(count, fold):
    what = "seed" if fold is None else "fold"
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _known(values: Sequence[float], form: str) -> str:
    return "" if np.isnan(values).any() else format(fmean(values), form)


def _interval(values: Sequence[float], form: str) -> str:
    return "" if np.isnan(values).any() else format(mean_interval(values), form)


def _check_alike(entries):
    """Raises ValueError if entries of a task differ in settings or data."""
    first, uncompared = entries[0], {"seed", "fold", "workers", *_BACKBONE, *_PATHS}
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
                f"The runs of task '{first.task.name}' differ in more than seed, fold and "
                f"backbone: in {different}. Pass runs of the same settings."
            )
        same_clips = first.fold != other.fold or first.task.examples == other.task.examples
        if first.task.labels != other.task.labels or not same_clips:
            raise ValueError(
                f"The runs of task '{first.task.name}' have other classes or other numbers of "
                f"examples. Received: {first.task.labels}, {first.task.examples} and "
                f"{other.task.labels}, {other.task.examples}. Pass runs on the same data."
            )


def _check_repeated(entries):
    """Raises ValueError if entries of a task and a base can't be averaged."""
    name, base = entries[0].task.name, entries[0].base
    seeds = [(entry.seed, entry.fold) for entry in entries]
    if len(set(seeds)) < len(seeds):
        raise ValueError(
            f"Runs of task '{name}' on {base} share seed and fold: {seeds}. Pass each run once."
        )
    measured = [set(entry.rows) for entry in entries]
    if differing := set.union(*measured) - set.intersection(*measured):
        raise ValueError(
            f"Only some of the runs of task '{name}' on {base} have results of "
            f"{sorted(differing, key=str)}. Pass runs of the same settings, and bases of the same "
            "kind."
        )
    if len({entry.multiplies for entry in entries} - {None}) > 1:
        raise ValueError(
            f"Bases of the runs of task '{name}' on {base} aren't of one size. Received: "
            f"{[entry.multiplies for entry in entries]} multiplies. Pass runs on bases of one kind."
        )
    conditions = [{name for row in entry.rows.values() for name in row} for entry in entries]
    if differing := set.union(*conditions) - set.intersection(*conditions):
        raise ValueError(
            f"Only some of the runs of task '{name}' on {base} were tested in {sorted(differing)}. "
            "Pass runs that were tested alike."
        )
