"""All results of a run, with what is needed to read them."""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from swr_keras.files import read_json, write_json
from swr_keras.jobs.result import Result, unpack_bits
from swr_keras.jobs.schema import conform

FILE = "results.json"
SPLITS = ("training", "validation", "testing")
_FORMAT = "swr_keras.run/1"
_ROUNDING = 1e-6

Rows = dict[tuple[str, float | None], list[Result]]


@dataclasses.dataclass(frozen=True)
class TaskFacts:
    """A task as far as its results need it.

    Attributes:
        name: Name of the task.
        labels: Class names in the order of the outputs.
        examples: Number of examples by split, "training", "validation" and "testing".
        notes: What a reader must know of the data: files left out, speakers in several splits.
    """

    name: str
    labels: tuple[str, ...]
    examples: dict[str, int]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if not all(self.examples.get(split, 0) >= 1 for split in SPLITS):
            raise ValueError(
                f"Task '{self.name}' needs examples of every split {SPLITS}. Received: "
                f"{self.examples}."
            )


@dataclasses.dataclass(frozen=True)
class BaseFacts:
    """The base that all tasks of a run share.

    Attributes:
        name: Name of the model.
        parameters: Weights besides the statistics of batch norm.
        multiplies: Multiplies for one example, see `accounting.summary`.
        num_bytes: Bytes of its weights.
    """

    name: str
    parameters: int
    multiplies: int
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Run:
    """All results of a run.

    Attributes:
        settings: What was asked for, by name of the flag, resolved.
        base: The base; `None` where it isn't known.
        tasks: The tasks, in order.
        results: The results, in order of the jobs.
        versions: Versions of Python and of the packages that matter.
    """

    settings: dict[str, Any]
    base: BaseFacts | None
    tasks: tuple[TaskFacts, ...]
    results: tuple[Result, ...]
    versions: dict[str, str]

    def __post_init__(self):
        tasks = {task.name: task for task in self.tasks}
        if not tasks or len(tasks) < len(self.tasks):
            raise ValueError(
                "A run needs one or more tasks of different names. Received: "
                f"{[task.name for task in self.tasks]}."
            )
        titles = [result.title for result in self.results]
        if repeated := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"Results of a run need different titles. Received twice: {repeated}.")
        for result in self.results:
            if result.kind != "base":
                _check_result(result, tasks)

    def of_task(self, name: str) -> list[Result]:
        """Returns the results of a task's models, float and int8, in order."""
        return [r for r in self.results if r.task == name and r.kind in ("model", "int8")]

    def rows(self, name: str) -> Rows:
        """Returns the same by name and target cost: the rows of a table, repetitions together."""
        rows: Rows = {}
        for result in self.of_task(name):
            rows.setdefault((result.name, result.target_cost), []).append(result)
        return rows

    def search(self, name: str, differences: tuple[str, ...] = ()) -> Result | None:
        """Returns the result of a task's search: SWR's own, or one with these `differences`."""
        results = [r for r in self.results if r.task == name and r.policy_curve]
        return next((r for r in results if r.differences == differences), None)

    def policy_curve(self, name: str) -> dict[str, Any] | None:
        """Returns the curve of a task's search, if it has one."""
        found = self.search(name)
        return found.policy_curve if found else None

    def save(self, folder: str | os.PathLike) -> None:
        """Writes `results.json` into a folder, whole or not at all."""
        values = {
            "format": _FORMAT,
            **dataclasses.asdict(self),
            "results": [result.as_dict() for result in self.results],
        }
        write_json(pathlib.Path(folder) / FILE, values)

    @classmethod
    def from_dict(cls, values: Any) -> "Run":
        """Reads what `results.json` holds.

        Raises:
            ValueError: If a field is unknown, missing or of another type, or results don't fit
                the tasks; says where.
        """
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            found = values.get("format") if isinstance(values, dict) else values
            raise ValueError(f"The format must be '{_FORMAT}'. Received: {found!r:.200}.")
        values = {name: value for name, value in values.items() if name != "format"}
        return conform(values, cls, "The run")

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "Run":
        """Reads the results of a run's folder.

        Raises:
            ValueError: If there are none, or their file is damaged; names it.
        """
        path = pathlib.Path(folder) / FILE
        if not path.is_file():
            raise ValueError(f"'{folder}' has no results. Give the folder of a run.")
        try:
            return cls.from_dict(read_json(path, kind="results"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"'{path}' holds no results of a run: {error}") from None


def _check_result(result, tasks):
    task = tasks.get(result.task)
    if task is None:
        raise ValueError(
            f"'{result.title}' is of a task that the run doesn't have. Received: {result.task!r}, "
            f"tasks {sorted(tasks)}."
        )
    lengths = [len(row) for row in result.confusion or ()]
    if result.confusion is not None and lengths != [len(task.labels)] * len(task.labels):
        raise ValueError(
            f"Task '{task.name}' has {len(task.labels)} labels, so a confusion needs as many rows "
            f"of as many counts. Received: '{result.title}' with rows of lengths {lengths}."
        )
    if result.right is not None:
        share = float(np.mean(unpack_bits(result.right, task.examples["testing"])))
        if result.testing_accuracy is None or abs(share - result.testing_accuracy) > _ROUNDING:
            raise ValueError(
                f"'{result.title}' got {share:.6f} of the test examples right by its field right. "
                f"Received: testing_accuracy={result.testing_accuracy}."
            )
