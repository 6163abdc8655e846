"""Means over repetitions, and how sure they are."""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean

from scipy import stats

Key = tuple[Hashable, Hashable]
"""A repetition, such as a seed, and a task of it."""


@dataclasses.dataclass(frozen=True)
class MeanInterval:
    """A mean with its 95 % interval, `mean` ± `half_width`; `format` writes both.

    Attributes:
        mean: The mean.
        half_width: Half the width of Student's interval; `None` for one repetition, which has none.
        count: How many repetitions.
    """

    mean: float
    half_width: float | None
    count: int

    def __format__(self, form: str) -> str:
        if self.half_width is None:
            return format(self.mean, form)
        return f"{self.mean:{form}} ± {format(self.half_width, form.lstrip('+'))}"


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Returns the mean of independent repetitions with Student's 95 % interval.

    Raises:
        ValueError: If there are none.
    """
    if not values:
        raise ValueError("A mean needs one or more repetitions. Received: none.")
    half = None
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return MeanInterval(fmean(values), half, len(values))


def over_repetitions(values: Mapping[Key, float]) -> MeanInterval:
    """Returns the mean over repetitions of the mean over the tasks of each.

    Tasks of a repetition share its seed and base, so they aren't repetitions of their own.

    Args:
        values: What was measured, by repetition and task.

    Raises:
        ValueError: If there is nothing.
    """
    tasks: dict[Hashable, list[float]] = {}
    for (repetition, _), value in values.items():
        tasks.setdefault(repetition, []).append(value)
    return mean_interval([fmean(each) for each in tasks.values()])


def paired_difference(
    ours: Mapping[Key, float], theirs: Mapping[Key, float]
) -> MeanInterval | None:
    """Returns by how much one method surpasses another, task by task and repetition by repetition.

    Args:
        ours, theirs: What was measured of each, by repetition and task.

    Returns:
        The mean as of `over_repetitions`, over what both have; `None` without any.
    """
    both = {key: value - theirs[key] for key, value in ours.items() if key in theirs}
    return over_repetitions(both) if both else None
