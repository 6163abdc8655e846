"""One task of a run as the values that its part of the page shows."""

import dataclasses
from collections.abc import Iterator
from statistics import fmean

from swr_keras.jobs.result import LOSSES, SWR, Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.reporting import figures
from swr_keras.reporting.arm_figure import accuracy_per_byte
from swr_keras.reporting.confusion import (
    Mistake,
    TrueClass,
    confusion_rows,
    frequent_mistakes,
)
from swr_keras.reporting.figures import Picture
from swr_keras.reporting.results import Row, Verdict, arms, results_table, verdict


@dataclasses.dataclass(frozen=True)
class Tracking:
    """How a search follows the target cost.

    Attributes:
        picture: Achieved against target cost.
        error: By how much the expected cost is off on average; empty if it isn't known.
    """

    picture: Picture
    error: str


@dataclasses.dataclass(frozen=True)
class Curves:
    """Learning curves of one training."""

    title: str
    picture: Picture


@dataclasses.dataclass(frozen=True)
class Losses:
    """How a chosen policy does on the super-net, beside others of the same cost."""

    cost: str
    chosen: str
    network: str
    random_best: str
    random_mean: str
    random_worst: str


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Which classes one model takes for which."""

    title: str
    mistakes: list[Mistake]
    rows: list[TrueClass]


@dataclasses.dataclass(frozen=True)
class TaskView:
    """All that a page shows of a task, in its order; what a run doesn't have is empty or `None`."""

    facts: TaskFacts
    per_byte: Picture | None
    verdict: Verdict
    rows: list[Row]
    choices: Picture | None
    losses: list[Losses]
    tracking: Tracking | None
    curves: list[Curves]
    confusions: list[Confusion]


def task_view(run: Run, task: TaskFacts) -> TaskView:
    """Describes a task and its results."""
    compared = arms(run, task)
    search = run.search(task.name)
    return TaskView(
        facts=task,
        per_byte=accuracy_per_byte(compared, task.name) if compared else None,
        verdict=verdict(run, task),
        rows=results_table(run, task),
        choices=_choices(run, task),
        losses=_losses(run, task),
        tracking=_tracking(run, task, search) if search else None,
        curves=[curves for r in run.results if r.task == task.name for curves in all_curves(r)],
        confusions=_confusions(run, task),
    )


def all_curves(result: Result) -> Iterator[Curves]:
    """Draws the learning curves of each training of a result."""
    for stage, history in result.histories.items():
        title = stage_title(result, stage)
        yield Curves(title, figures.learning_curves(history, f"{result.task}, {title}"))


def stage_title(result: Result, stage: str) -> str:
    """Names a training of a result: as its result where that has no other."""
    title = result.title.removeprefix(f"{result.task}: ")
    stages = {*result.histories, *result.seconds}
    return title if len(stages) == 1 else f"{title}: {stage}"


def _swr(run, task):
    """The repetitions of SWR by target cost."""
    return {cost: results for (name, cost), results in run.rows(task.name).items() if name == SWR}


def _choices(run, task):
    curve = run.policy_curve(task.name)
    found = _swr(run, task)
    if curve is None or not found:
        return None
    choices = [
        (f"target {cost:g}\nachieved {_achieved(results):.3f}", results[0].changed_layers)
        for cost, results in found.items()
    ]
    return figures.policy_picture(curve, choices, task.name)


def _losses(run, task):
    return [
        Losses(f"{r.target_cost:g}", **{name: f"{r.policy_losses[name]:.3f}" for name in LOSSES})
        for r in run.results
        if r.task == task.name and r.policy_losses is not None and not r.differences
    ]


def _tracking(run, task, search):
    trained = [(cost, _achieved(results)) for cost, results in _swr(run, task).items()]
    error = search.tracking_error
    return Tracking(
        figures.cost_tracking(search.policy_curve, trained, task.name),
        "" if error is None else f"{error:.3f}",
    )


def _achieved(results):
    return fmean(result.achieved_cost for result in results)


def _confusions(run, task):
    """Those of the int8 models, which are what runs on a device; else those of SWR."""
    known = [result for result in run.of_task(task.name) if result.confusion is not None]
    shown = [r for r in known if r.kind == "int8"] or [r for r in known if r.method == SWR]
    return [
        Confusion(
            result.title.removeprefix(f"{task.name}: "),
            frequent_mistakes(task.labels, result.confusion),
            confusion_rows(task.labels, result.confusion),
        )
        for result in shown
    ]
