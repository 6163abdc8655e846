"""All results of a run, with what is needed to read them."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from swr_keras.files import write_atomically
from swr_keras.jobs.result import Result

FILE = "results.json"
_FORMAT = "swr_keras.run/1"


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

    def of_task(self, name: str) -> list[Result]:
        """Returns the results of a task's models, float and int8, in order."""
        return [r for r in self.results if r.task == name and r.kind in ("model", "int8")]

    def save(self, folder: str | os.PathLike) -> None:
        """Writes `results.json` into a folder, whole or not at all."""
        values = {
            "format": _FORMAT,
            **dataclasses.asdict(self),
            "results": [result.as_dict() for result in self.results],
        }
        text = json.dumps(values, indent=1, ensure_ascii=False)
        write_atomically(pathlib.Path(folder) / FILE, text.encode())
