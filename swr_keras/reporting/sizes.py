"""What tasks take to store or send, as plain values."""

import dataclasses
from collections.abc import Mapping
from statistics import fmean

from swr_keras.jobs.result import SWR
from swr_keras.jobs.run import Run


@dataclasses.dataclass(frozen=True)
class Bar:
    """A line of a bar chart; `share` is its length, in [0, 1]."""

    name: str
    share: float
    value: str


def bars(values: Mapping[str, float], form: str, *, whole: float) -> list[Bar]:
    """Makes a bar for each value, relative to `whole`."""
    return [
        Bar(name, value / whole if whole else 0.0, format(value, form))
        for name, value in values.items()
    ]


def pack_sizes(run: Run) -> list[Bar]:
    """Compares a full network for each task with one base and a pack for each.

    Returns:
        Bars of bytes in float32; none where the base's size, or what every task owns at some
        common target cost, isn't known.
    """
    owned = [_owned_bytes(run, task.name) for task in run.tasks]
    costs = [cost for cost in owned[0] if all(cost in by_cost for by_cost in owned)]
    if run.base is None or not costs:
        return []
    count = len(run.tasks)
    sizes: dict[str, float] = {
        f"{count} full cop{'y' if count == 1 else 'ies'}": count * run.base.num_bytes
    }
    for cost in costs:
        name = f"base + {count} pack{'' if count == 1 else 's'} at target cost {cost:g}"
        sizes[name] = run.base.num_bytes + sum(by_cost[cost] for by_cost in owned)
    return bars(sizes, ",.0f", whole=max(sizes.values()))


def _owned_bytes(run, task):
    """Mean bytes that a task owns by target cost of SWR, where they are known."""
    return {
        cost: fmean(result.owned_bytes for result in results)
        for (name, cost), results in run.rows(task).items()
        if name == SWR and cost is not None and all(r.owned_bytes is not None for r in results)
    }
