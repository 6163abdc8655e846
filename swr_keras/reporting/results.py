"""The results of a task as plain values: in words, and as the rows of a table."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from statistics import fmean

from swr_keras.jobs.result import CLASSIFIER, FINE_TUNING, SWR, Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.reporting.arm_figure import Arm
from swr_keras.reporting.intervals import difference_interval, wilson_interval

INT8 = f"{SWR} int8"
_FEW_SEEDS = 3


@dataclasses.dataclass(frozen=True)
class Finding:
    """What SWR reached at one target cost.

    Attributes:
        cost: The target cost.
        reached: What it changed and got right.
        comparison: How that compares with training the classifier only; empty without.
        is_clear: Whether one of them is better for sure.
        more: What else is to say.
    """

    cost: str
    reached: str
    comparison: str
    is_clear: bool
    more: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was run, whether it beat training the classifier only, and what that is worth."""

    lead: str
    findings: tuple[Finding, ...]
    caution: str


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its interval or spread, in percent."""

    share: str
    spread: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table of results; what isn't known is empty."""

    name: str
    is_swr: bool
    target_cost: str
    achieved_cost: str
    layers: str
    validation: Accuracy
    testing: Accuracy
    batch_norm: str
    owned_bytes: str
    flash_bytes: str


def verdict(run: Run, task: TaskFacts) -> Verdict:
    """Says in plain words what was run, and whether it beat training the classifier only."""
    rows = run.rows(task.name)
    found = {cost: results for (name, cost), results in rows.items() if name == SWR}
    classifier = [r for (name, _), results in rows.items() if name == CLASSIFIER for r in results]
    examples = task.examples["testing"]
    seeds = len(next(iter(found.values()), classifier)) or 1
    lead = (
        f"The task has {len(task.labels)} classes. Its models were trained on "
        f"{task.examples['training']:,} examples with {_number(seeds, 'seed')} and tested on the "
        f"{examples:,} examples of the test split."
    )
    if not found:
        return Verdict(f"{lead} No model was trained with SWR.", (), "")
    if not classifier:
        lead += " The classifier alone was not trained, so there is nothing to compare with."
    caution = ""
    if classifier and seeds < _FEW_SEEDS:
        caution = (
            "The intervals tell how much the choice of test examples matters, not how much results "
            f"vary from one training to the next; for that, repeat the run with {_FEW_SEEDS} or "
            "more seeds."
        )
    findings = tuple(
        _finding(cost, results, rows.get((INT8, cost), []), classifier, examples)
        for cost, results in found.items()
    )
    return Verdict(lead, findings, caution)


def _finding(cost, results, int8, classifier, examples):
    accuracy = _test(results)
    layers = _layers(results)
    share = percent(fmean(result.achieved_cost for result in results))
    comparison, is_clear, more = "", False, []
    if classifier:
        comparison, is_clear = _comparison(results, classifier, examples)
        if len(results) > 1 and len(results) == len(classifier):
            pairs = zip(results, classifier, strict=True)
            each = [ours.testing_accuracy - other.testing_accuracy for ours, other in pairs]
            low, high = _points(min(each)), _points(max(each))
            more.append(f"From seed to seed the difference was {low} to {high}.")
    if int8:
        more.append(
            f"As int8 it got {percent(_test(int8))} ({_points(_test(int8) - accuracy)} points)."
        )
    return Finding(
        cost=f"{cost:g}",
        reached=(
            f"SWR changed {layers:.3g} layer{'' if layers == 1 else 's'}, {share} of the base, "
            f"and got {percent(accuracy)} of the test examples right."
        ),
        comparison=comparison,
        is_clear=is_clear,
        more=tuple(more),
    )


def _comparison(results, classifier, examples):
    """Compares in words; returns also whether one is better for sure."""
    first, second = _test(results), _test(classifier)
    other = f"training the classifier only, which got {percent(second)}"
    both = _both_right(results, classifier, examples)
    if both is None:
        return (
            f"The difference from {other}, is {_points(first - second)} points. It has no "
            "interval, since which examples each got right was not recorded."
        ), False
    low, high = difference_interval(first, second, both, examples)
    interval = f"(95 % interval {_points(low)} to {_points(high)})"
    amount = f"{abs(100 * (first - second)):.1f} points"
    if low > 0:
        return (
            f"It beat {other}, by {amount} {interval}: more than the choice of test examples "
            "explains."
        ), True
    if high < 0:
        return f"It was worse than {other}, by {amount} {interval}.", True
    return (
        f"The difference from {other}, is {_points(first - second)} points {interval}: "
        f"{examples:,} examples can't tell which is better."
    ), False


def _both_right(results: Sequence[Result], others: Sequence[Result], examples: int):
    """Mean share of the examples that both of a pair got right; `None` if it isn't known."""
    pairs: Iterable[tuple[Result, Result]] = itertools.product(results, others)
    if len(results) == len(others):
        pairs = zip(results, others, strict=True)
    if any(result.right is None for result in (*results, *others)):
        return None
    return fmean(first.both_right(second, examples) for first, second in pairs)


def results_table(run: Run, task: TaskFacts) -> list[Row]:
    """Lists every method with its cost, its accuracies and what a task owns."""
    curve = run.policy_curve(task.name)
    of_all = f" of {len(curve['layers'])}" if curve else ""
    rows = []
    for (name, cost), results in run.rows(task.name).items():
        layers = _layers(results)
        rows.append(
            Row(
                name=name if len(results) == 1 else f"{name} (mean of {len(results)})",
                is_swr=name in (SWR, INT8),
                target_cost="" if cost is None else f"{cost:g}",
                achieved_cost=_optional([r.achieved_cost for r in results], ".3f"),
                layers="" if layers is None else f"{layers:.3g}{of_all}",
                validation=_accuracy(
                    [r.validation_accuracy for r in results], task.examples["validation"]
                ),
                testing=_accuracy([r.testing_accuracy for r in results], task.examples["testing"]),
                batch_norm=results[0].batch_norm,
                owned_bytes=_optional([r.owned_bytes for r in results], ",.0f"),
                flash_bytes=_optional([r.flash_bytes for r in results], ",.0f"),
            )
        )
    return rows


def arms(run: Run, task: TaskFacts) -> list[Arm]:
    """Returns each method of a task that has bytes of flash, with its test accuracy at each cost.

    Fine-tuning everything takes as much as a model of its own, and is called so.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for (name, _), results in run.rows(task.name).items():
        if all(result.flash_bytes is not None for result in results):
            num_bytes = fmean(result.flash_bytes or 0 for result in results)
            points.setdefault(name, []).append((num_bytes, _test(results)))
    names = {FINE_TUNING: f"{FINE_TUNING}: a model of its own"}
    return [Arm(names.get(name, name), each, name == SWR) for name, each in points.items()]


def percent(share: float) -> str:
    """Returns a share in percent, such as `"95.1 %"`."""
    return f"{100 * share:.1f} %"


def _accuracy(values, examples):
    known = [value for value in values if value is not None]
    if not known:
        return Accuracy("", "")
    low, high = min(known), max(known)
    if len(known) == 1:
        low, high = wilson_interval(known[0], examples)
    return Accuracy(percent(fmean(known)), f"{100 * low:.1f} to {100 * high:.1f}")


def _layers(results):
    """Mean number of changed layers; `None` if it isn't known."""
    counts = [len(r.changed_layers) for r in results if r.changed_layers is not None]
    return fmean(counts) if counts else None


def _optional(values, form):
    known = [value for value in values if value is not None]
    return format(fmean(known), form) if known else ""


def _test(results):
    return fmean(result.testing_accuracy for result in results)


def _points(difference):
    return f"{100 * difference:+.1f}"


def _number(count, noun):
    return f"{count} {noun}" + ("" if count == 1 else "s")
