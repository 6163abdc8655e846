"""The results of a task in words and as a table."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from swr_keras.reporting.intervals import difference_interval, wilson_interval
from swr_keras.reporting.markup import Markup, element, join, table

SWR, INT8, CLASSIFIER = "SWR", "SWR int8", "classifier-only"
BOTH_RIGHT = "both_right"
_FEW_SEEDS = 3

Rows = list[dict[str, Any]]


def grouped(results: Sequence[dict[str, Any]]) -> dict[tuple[str, Any], Rows]:
    """Collects the rows of the same method and target cost, in order of appearance."""
    groups: dict[tuple[str, Any], Rows] = {}
    for row in results:
        groups.setdefault((row["method"], row.get("target_cost")), []).append(row)
    return groups


def verdict(task: dict[str, Any]) -> Markup:
    """Says in plain words what was run, and whether it beat training the classifier only."""
    groups = grouped(task["results"])
    found = {cost: rows for (method, cost), rows in groups.items() if method == SWR}
    classifier = [
        row for (method, _), rows in groups.items() if method == CLASSIFIER for row in rows
    ]
    clips = task["clips"]["testing"]
    seeds = len(next(iter(found.values()), classifier)) or 1
    lead = (
        f"The task has {len(task['labels'])} classes. Its models were trained on "
        f"{task['clips']['training']:,} clips with {_number(seeds, 'seed')} and tested on the "
        f"{clips:,} clips of the test split."
    )
    if not found:
        return element("p", f"{lead} No model was trained with SWR.")
    if not classifier:
        lead += " The classifier alone was not trained, so there is nothing to compare with."
    points = [
        element("li", _finding(cost, rows, groups.get((INT8, cost), []), classifier, clips))
        for cost, rows in found.items()
    ]
    caution = ""
    if classifier and seeds < _FEW_SEEDS:
        caution = element(
            "p",
            "The intervals tell how much the choice of test clips matters, not how much results "
            f"vary from one training to the next; for that, repeat the run with {_FEW_SEEDS} or "
            "more seeds.",
            class_="note",
        )
    return join([element("p", lead), element("ul", *points), caution])


def _finding(cost, rows, int8_rows, classifier, clips):
    accuracy = _mean(rows, "testing_accuracy")
    layers = fmean(len(row["changed_layers"]) for row in rows)
    parts = [
        "At a target cost of ",
        element("b", f"{cost:g}"),
        f", SWR changed {layers:.3g} layer{'' if layers == 1 else 's'} with "
        f"{percent(_mean(rows, 'achieved_cost'))} of the parameters and got {percent(accuracy)} "
        "of the test clips right.",
    ]
    if classifier:
        parts += [" ", *_comparison(rows, classifier, clips)]
    if int8_rows:
        int8 = _mean(int8_rows, "testing_accuracy")
        parts.append(f" As int8 it got {percent(int8)} ({_points(int8 - accuracy)} points).")
    return join(parts)


def _comparison(rows, classifier, clips):
    first, second = _mean(rows, "testing_accuracy"), _mean(classifier, "testing_accuracy")
    low, high = difference_interval(first, second, _mean(rows, BOTH_RIGHT), clips)
    interval = f"(95 % interval {_points(low)} to {_points(high)})"
    amount = f"{abs(100 * (first - second)):.1f} points"
    other = f"training the classifier only, which got {percent(second)}"
    if low > 0:
        sentence = (
            f"It beat {other}, by {amount} {interval}: more than the choice of test clips explains."
        )
    elif high < 0:
        sentence = f"It was worse than {other}, by {amount} {interval}."
    else:
        sentence = (
            f"The difference from {other}, is {_points(first - second)} points {interval}: "
            f"{clips:,} clips can't tell which is better."
        )
    yield element("b" if low > 0 or high < 0 else "span", sentence)
    if len(rows) > 1 and len(rows) == len(classifier):
        pairs = zip(rows, classifier, strict=True)
        each = [a["testing_accuracy"] - b["testing_accuracy"] for a, b in pairs]
        yield f" From seed to seed the difference was {_points(min(each))} to {_points(max(each))}."


def results_table(task: dict[str, Any]) -> Markup:
    """Lists every method with its cost, its accuracies and what a task owns."""
    total = len(task["policy_curve"]["layers"]) if task.get("policy_curve") else None
    rows = []
    for (method, cost), runs in grouped(task["results"]).items():
        name = method if len(runs) == 1 else f"{method} (mean of {len(runs)})"
        rows.append(
            [
                element("b", name) if method in (SWR, INT8) else name,
                "" if cost is None else f"{cost:g}",
                _optional(runs, "achieved_cost", "{:.3f}"),
                _layers(runs, total),
                _accuracy(runs, "validation", task["clips"]),
                _accuracy(runs, "testing", task["clips"]),
                _optional(runs, "owned_bytes", "{:,.0f}"),
            ]
        )
    headings = (
        "method",
        "target cost",
        "achieved cost",
        "changed layers",
        f"validation accuracy ({task['clips']['validation']:,} clips)",
        f"test accuracy ({task['clips']['testing']:,} clips)",
        "bytes the task owns",
    )
    return table(headings, rows)


def percent(share: float) -> str:
    """Returns a share in percent, such as `"95.1 %"`."""
    return f"{100 * share:.1f} %"


def _accuracy(runs, split, clips):
    values = [row[f"{split}_accuracy"] for row in runs]
    if len(values) > 1:
        spread = f"{100 * min(values):.1f} to {100 * max(values):.1f}"
    else:
        low, high = wilson_interval(values[0], clips[split])
        spread = f"{100 * low:.1f} to {100 * high:.1f}"
    return join([percent(fmean(values)), element("br"), element("small", spread)])


def _layers(runs, total):
    counts = [len(row["changed_layers"]) for row in runs if "changed_layers" in row]
    if not counts:
        return ""
    return f"{fmean(counts):.3g}" + (f" of {total}" if total else "")


def _optional(runs, key, form):
    values = [row[key] for row in runs if row.get(key) is not None]
    return form.format(fmean(values)) if values else ""


def _mean(rows, key):
    return fmean(row[key] for row in rows)


def _points(difference):
    return f"{100 * difference:+.1f}"


def _number(count, noun):
    return f"{count} {noun}" + ("" if count == 1 else "s")
