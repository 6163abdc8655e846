"""Which learning rate suits each method, by validation examples alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean

from swr_keras.jobs.model import AdaptModel
from swr_keras.jobs.result import Result
from swr_keras.recipes.benchmark_jobs import Group, PlannedJob, plan
from swr_keras.recipes.benchmark_methods import MULTILINGUAL, rate_of
from swr_keras.recipes.benchmark_settings import BenchmarkSettings

Rates = dict[tuple[str, str], float | None]
"""Rates by method and backbone; `None` for the default."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """How well a method does at a rate.

    Attributes:
        method, backbone: What was trained.
        learning_rate: At which rate.
        validation_accuracy: Mean over tasks; `None` where a job failed.
    """

    method: str
    backbone: str
    learning_rate: float
    validation_accuracy: float | None


def given_rates(settings: BenchmarkSettings) -> Rates:
    """Returns the rates that are known without trying any."""
    rates = settings.rates()
    return {
        (name, backbone): rate_of(name, rates)
        for name in settings.methods
        for backbone in settings.backbones
    }


def tuning_jobs(settings: BenchmarkSettings, groups: Sequence[Group]) -> list[PlannedJob]:
    """Returns the jobs that try the rates, on the first repetition and at the first cost."""
    rates = given_rates(settings)
    names = tuple(
        name
        for name in settings.methods
        if name != MULTILINGUAL and rates[name, settings.backbones[0]] is None
    )
    if not names or not settings.tune:
        return []
    first_cost = dataclasses.replace(
        settings.transfer, target_cost=settings.transfer.target_cost[:1]
    )
    asked = dataclasses.replace(
        settings, methods=names, learning_rates=(), transfer=first_cost, int8=False
    )
    first = [group for group in groups if group.repetition == settings.repetitions[0]]
    jobs: dict[str, PlannedJob] = {}
    for rate in settings.tune:
        every = {(name, backbone): rate for name in names for backbone in settings.backbones}
        for planned in plan(asked, first, every):
            jobs.setdefault(planned.job.address(), planned)
    return list(jobs.values())


def tried(jobs: Sequence[PlannedJob], results: Mapping[str, Result]) -> list[Tried]:
    """Returns how well each method does at each rate.

    Args:
        jobs: What `tuning_jobs` returned.
        results: The results of those that were done, by address.
    """
    groups: dict[tuple[str, str, float], list[float | None]] = {}
    for planned in jobs:
        if isinstance(planned.job, AdaptModel) and planned.learning_rate is not None:
            key = planned.method, planned.group.backbone, planned.learning_rate
            result = results.get(planned.job.address())
            groups.setdefault(key, []).append(result.validation_accuracy if result else None)
    return [Tried(*key, _mean(values)) for key, values in groups.items()]


def chosen_rates(settings: BenchmarkSettings, found: Sequence[Tried]) -> Rates:
    """Returns the rates of all methods, tried ones by the best mean; of equals, the smallest."""
    rates = given_rates(settings)
    best: dict[tuple[str, str], Tried] = {}
    for each in sorted(found, key=lambda each: each.learning_rate):
        if each.validation_accuracy is None:
            continue
        key = each.method, each.backbone
        if key not in best or each.validation_accuracy > (best[key].validation_accuracy or 0.0):
            best[key] = each
    return rates | {key: each.learning_rate for key, each in best.items()}


def _mean(values):
    return None if None in values else fmean(values)
