"""The results of a benchmark by backbone, row of a table, repetition and task."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

from swr_keras.accounting import relative_parameters
from swr_keras.jobs.intervals import Key
from swr_keras.jobs.record import Record
from swr_keras.jobs.result import BASE, SWR, Result

MULTILINGUAL = "multi-lingual"
MEASURED = ("base", "model", "int8")
"""Kinds of results that tables show."""
_OF_ABLATIONS = (f"{SWR}, ", f"{SWR} + ")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        method: Name of the method.
        target_cost: The target cost; `None` for a method that is told none.
    """

    method: str
    target_cost: float | None = None

    @property
    def is_ablation(self) -> bool:
        """Whether it is SWR with one thing changed."""
        return self.method.startswith(_OF_ABLATIONS)


class BenchmarkResults:
    """What a benchmark measured.

    Args:
        records: The finished jobs, perhaps of several benchmarks: one that many have counts once,
            and those that were tried for a learning rate don't count.

    Attributes:
        backbones: Names of the backbones, in order.
        tasks: Names of the tasks, in order.

    Raises:
        ValueError: If some of the records are of folds and others aren't, or if two are of jobs
            that differ in more than their titles tell.
    """

    def __init__(self, records: Iterable[Record]):
        self.records = _once(record for record in records if not record.tried)
        if len({record.fold is None for record in self.records}) > 1:
            raise ValueError("Some results are of a cross-validation, others aren't. Choose some.")
        self._models = [record for record in self.records if record.result.kind == "model"]
        self.backbones = list(dict.fromkeys(record.backbone for record in self._models))
        self.tasks = list(dict.fromkeys(record.result.task for record in self._models))

    @property
    def repetitions(self) -> int:
        """Number of seeds; of folds, if it is a cross-validation."""
        return len({_repetition(record) for record in self._models})

    @property
    def repeated(self) -> str:
        """What is repeated, "seed" or "fold"."""
        folded = any(record.fold is not None for record in self._models)
        return "fold" if folded else "seed"

    def rows(self, backbone: str | None = None) -> list[Row]:
        """Returns the rows of a backbone, or of all, in the order of the jobs."""
        found = [_row(r) for r in self._models if backbone in (None, r.backbone)]
        first = {row.method: place for place, row in reversed(list(enumerate(found)))}
        order = {row: place for place, row in reversed(list(enumerate(found)))}
        return sorted(order, key=lambda row: (first[row.method], order[row]))

    def values(
        self,
        backbone: str,
        row: Row,
        value: Callable[[Result], float | None],
        *,
        kind: str = "model",
    ) -> dict[Key, float]:
        """Returns a value by repetition and task, where it is known.

        What stands in one row, as several random policies, is averaged, and so are the seeds of a
        fold.

        Args:
            backbone, row: Of which models.
            value: Takes it from a result.
            kind: "model", or "int8" for what became of these models.
        """
        found: dict[Key, list[float]] = {}
        for record in self.records:
            result = record.result
            if result.kind == kind and record.backbone == backbone and _row(record) == row:
                known = value(result)
                if known is not None:
                    key = _repetition(record), result.task
                    found.setdefault(key, []).append(known)
        return {key: fmean(each) for key, each in found.items()}

    def base(self, backbone: str) -> Result | None:
        """Returns the result of a base of a backbone; `None` if none was trained."""
        bases = (r.result for r in self.records if r.backbone == backbone)
        return next((each for each in bases if each.kind == "base"), None)

    def by_task(
        self, backbone: str, row: Row, value: Callable[[Result], float | None]
    ) -> list[float] | None:
        """Returns the mean over repetitions of a value for each task of a backbone.

        `None` if it isn't known of all of them: what is summed or averaged over some tasks can't be
        compared with what is so over all.
        """
        found = self.values(backbone, row, value)
        tasks = dict.fromkeys(r.result.task for r in self._models if r.backbone == backbone)
        means = [[each for (_, of), each in found.items() if of == task] for task in tasks]
        return [fmean(each) for each in means] if all(means) else None

    def relative_parameters(self, backbone: str, row: Row) -> float | None:
        """Returns the parameters of base and all tasks, relative to the base's ("#Param")."""
        base = self.base(backbone)
        if row.method == MULTILINGUAL:
            return 1.0
        owned = self.by_task(backbone, row, lambda result: result.owned_parameters)
        if base is None or not base.owned_parameters or owned is None:
            return None
        return relative_parameters(base.owned_parameters, map(round, owned))

    def relative_multiplies(self, backbone: str, row: Row) -> float | None:
        """Returns the multiplies of a task's model, relative to the base's ("#Mult")."""
        base = self.base(backbone)
        if row.method == MULTILINGUAL:
            return 1.0
        found = self.by_task(backbone, row, lambda result: result.multiplies)
        if base is None or not base.multiplies or found is None:
            return None
        return fmean(found) / base.multiplies

    def reference(self, backbone: str, row: Row) -> Row | None:
        """Returns the row of SWR that another one is compared with.

        That of its own target cost, or of the smallest one where it has none.
        """
        costs = [other.target_cost for other in self.rows(backbone) if other.method == SWR]
        known = [cost for cost in costs if cost is not None]
        if not known or row.method == SWR:
            return None
        if row.target_cost is None:
            return Row(SWR, min(known))
        return Row(SWR, row.target_cost) if row.target_cost in known else None

    def searches(self, backbone: str, task: str | None = None) -> dict[str, list[dict[str, Any]]]:
        """Returns the curves of all searches by the row of SWR that they are of.

        An ablation that has SWR's search, but another learning rate, has no row of its own there.
        """
        here = [record for record in self.records if record.backbone == backbone]
        of_swr = [_learning(record) for record in here if record.result.method == SWR]
        found: dict[str, list[dict[str, Any]]] = {}
        for record in here:
            result = record.result
            is_rows = result.differences or not of_swr or _learning(record) in of_swr
            if result.policy_curve and is_rows and task in (None, result.task):
                name = ", ".join((SWR, *result.differences))
                found.setdefault(name, []).append(result.policy_curve)
        return found

    def notes(self) -> Sequence[str]:
        """Returns which rows lack repetitions."""
        return [
            f"{backbone}: {row.method} has {len(found)} of "
            f"{self.repetitions * len(self.tasks)} results."
            for backbone in self.backbones
            for row in self.rows(backbone)
            if len(found := self.values(backbone, row, lambda result: result.testing_accuracy))
            < self.repetitions * len(self.tasks)
        ]


def _once(records: Iterable[Record]) -> list[Record]:
    every = {record.address: record for record in records}.values()
    found: dict[tuple[Any, ...], Record] = {}
    for record in every:
        # Methods of different rates have searches of one title, but none of them is a row.
        name = record.backbone, *record.repetition, record.result.kind, record.result.title
        if record.result.kind in MEASURED and found.setdefault(name, record) is not record:
            raise ValueError(
                f"Two results are called '{record.result.title}' (backbone {record.backbone}, seed "
                f"{record.seed}, fold {record.fold}), but differ in settings or data, so they "
                "can't stand in one row. Leave one of the benchmarks out."
            )
    return list(every)


def _learning(record: Record) -> Any:
    """How the policies of a search, or of a model of SWR, were learned."""
    settings = record.settings.get("method", record.settings)
    return settings.get("learning")


def _row(record: Record) -> Row:
    if record.result.method == BASE:
        return Row(MULTILINGUAL)
    return Row(record.result.method, record.settings.get("target_cost"))


def _repetition(record: Record) -> int:
    return record.seed if record.fold is None else record.fold
