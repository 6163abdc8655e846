"""The jobs of a benchmark."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from swr_keras.accounting import summary
from swr_keras.jobs.int8 import ConvertBase, ConvertInt8
from swr_keras.jobs.job import Job, Plan
from swr_keras.jobs.model import AdaptModel, TryBase, swr_jobs
from swr_keras.methods import SWR, Method
from swr_keras.recipes.benchmark_methods import MULTILINGUAL, make
from swr_keras.recipes.benchmark_settings import BenchmarkSettings
from swr_keras.recipes.benchmark_source import KnownTask, Repetition

_CALIBRATION_EXAMPLES = 200


@dataclasses.dataclass(frozen=True)
class Group:
    """The tasks of one backbone and repetition, on one base.

    Attributes:
        backbone: Architecture of the base.
        repetition: Seed and fold.
        base: The job that makes the base.
        base_task: What the base is trained on.
        tasks: The tasks.
        network: The base, untrained.
    """

    backbone: str
    repetition: Repetition
    base: Job
    base_task: KnownTask
    tasks: tuple[KnownTask, ...]
    network: keras.Model = dataclasses.field(compare=False, repr=False)

    @classmethod
    def of(
        cls,
        settings: BenchmarkSettings,
        backbone: str,
        repetition: Repetition,
        base_task: KnownTask,
        tasks: Sequence[KnownTask],
    ) -> "Group":
        """Makes one, with an untrained base.

        Raises:
            ValueError: If no layer of the base may change at a cost, see `MethodAtCost.check`.
        """
        network = settings.network(backbone, base_task)
        for cost in settings.transfer.target_cost:
            settings.shared.swr.check(network, cost)
        return cls(
            backbone=backbone,
            repetition=repetition,
            base=settings.base_job(backbone, repetition, base_task),
            base_task=base_task,
            tasks=tuple(tasks),
            network=network,
        )

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.backbone}, {self.repetition}"

    @functools.cached_property
    def multiplies(self) -> int:
        """Multiplies of the base for one example."""
        return summary(self.network, input_shape=self.base_task.input_shape).multiplies


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """A job of a benchmark.

    Attributes:
        job: The job.
        group: What it belongs to.
        method: Name of its method among the flags; empty for a base.
        learning_rate: The rate that the method was made with; `None` for its default.
    """

    job: Job
    group: Group
    method: str = ""
    learning_rate: float | None = None

    @property
    def name(self) -> str:
        """What it is, for people."""
        rate = "" if self.learning_rate is None else f" (rate {self.learning_rate:g})"
        return f"{self.group.title}: {self.job.title}{rate}"

    @property
    def plan(self) -> Plan:
        """Its trainings, with the multiplies of all examples that they see: a measure of time."""
        known = {task.data: task for task in (self.group.base_task, *self.group.tasks)}
        plan = self.job.plan(known[self.job.data])  # type: ignore[arg-type]
        multiplies = float(self.group.multiplies)
        return {title: (epochs, seen * multiplies) for title, (epochs, seen) in plan.items()}


def plan(
    settings: BenchmarkSettings,
    groups: Sequence[Group],
    rates: Mapping[tuple[str, str], float | None],
) -> list[PlannedJob]:
    """Returns the jobs of a benchmark, each after those that it needs, and none twice.

    Args:
        settings: What is asked for.
        groups: The groups.
        rates: The rate of each method by its name and the backbone.
    """
    found: dict[str, PlannedJob] = {}
    for group in groups:
        for name in settings.methods:
            rate = rates.get((name, group.backbone))
            for task in group.tasks:
                if name == MULTILINGUAL:
                    jobs = _try_base(settings, group, task)
                else:
                    methods = make(name, settings.shared, rate)
                    jobs = adapt_jobs(group, task, methods, settings.transfer.target_cost)
                if settings.int8:
                    jobs += int8_jobs(group, jobs)
                for job in (group.base, *jobs):
                    of_base = job is group.base
                    planned = PlannedJob(job, group, *(() if of_base else (name, rate)))
                    found.setdefault(job.address(), planned)
    return list(found.values())


def adapt_jobs(
    group: Group,
    task: KnownTask,
    methods: Iterable[Method],
    costs: Sequence[float],
) -> list[Job]:
    """Returns the jobs that adapt a base to a task by some methods, each after its needs."""
    common: dict[str, Any] = {
        "base": group.base,
        "task": task.name,
        "data": task.data,
        "seed": group.repetition.seed,
    }
    jobs: list[Job] = []
    for method in methods:
        method = _resolved(method, group.network, task)
        if isinstance(method, SWR):
            jobs += swr_jobs([method], costs, **common)
        else:
            own = costs if method.needs_cost else [None]
            jobs += [AdaptModel(method=method, target_cost=cost, **common) for cost in own]
    return jobs


def int8_jobs(group: Group, jobs: Iterable[Job]) -> list[Job]:
    """Returns the jobs that convert those of some models that a device can run, and their base."""
    # A published base has no examples of its own.
    calibrated = group.base_task if group.base_task.examples else group.tasks[0]
    base = ConvertBase(
        base=group.base,
        calibration_examples=_CALIBRATION_EXAMPLES,
        task=group.base_task.name,
        data=calibrated.data,
        seed=group.base.seed,
    )
    converted = [
        ConvertInt8(
            model=job,
            base=base if job.method.keeps_graph else None,
            calibration_examples=_CALIBRATION_EXAMPLES,
            task=job.task,
            data=job.data,
            seed=job.seed,
        )
        for job in jobs
        if isinstance(job, AdaptModel) and job.method.deployable
    ]
    return [base, *converted] if any(each.base for each in converted) else list(converted)


def without_base_row(settings: BenchmarkSettings, groups: Sequence[Group]) -> list[str]:
    """Returns, for people, which tasks the base can't be tried on though it was asked for."""
    if MULTILINGUAL not in settings.methods:
        return []
    lacking = {
        task.name: None
        for group in groups
        for task in group.tasks
        if not _knows(settings, group, task)
    }
    return [
        f"{name}: the base doesn't know all of its classes, so it has no row." for name in lacking
    ]


def _try_base(settings, group, task) -> list[Job]:
    """Returns the job that tries the base on a task; none where the base lacks classes of it."""
    if not _knows(settings, group, task):
        return []
    names = settings.known_classes(task.name, group.base_task.labels)
    seed = group.repetition.seed
    return [TryBase(base=group.base, class_names=names, task=task.name, data=task.data, seed=seed)]


def _knows(settings, group, task):
    return set(task.labels) <= set(settings.known_classes(task.name, group.base_task.labels))


def _resolved(method, network, task):
    """Fills in what of a method's settings depends on the base and the data."""
    changes: dict[str, Any] = {"fit": method.fit.resolved(network, task)}
    if isinstance(method, SWR):
        changes["learning"] = method.learning.resolved(network, task)
    return dataclasses.replace(method, **changes)
