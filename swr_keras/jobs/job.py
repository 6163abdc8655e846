"""What a run is made of: jobs, each a value that says all its outcome depends on."""

import abc
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import keras

from swr_keras.jobs.result import History, Result
from swr_keras.jobs.task import MeasuredTask
from swr_keras.training.checkpoint import finite_or_none

_NEW_DEFAULTS = (
    ("first_layer", None),
    ("start", "zero"),
    ("staged", True),
    ("variant", ""),
    ("joint", False),
    ("weigh_layers", True),
    ("precision", "float32"),
    ("optimizer", "adam"),
    ("weight_decay", 0.0),
    ("label_smoothing", 0.0),
)


Plan = Mapping[str, tuple[int, float]]
"""Trainings by title, each with its epochs and the examples that it sees, or as much work."""


class Workplace(Protocol):
    """What a job finds around it.

    Attributes:
        verbose: As for `keras.Model.fit`.
    """

    verbose: str | int

    def task(self, job: "Job") -> MeasuredTask:
        """Returns the task of a job."""

    def files(self, job: "Job") -> Path:
        """Returns the folder of a job's files; a job that needs another finds them there."""

    def root(self, job: "Job") -> Path:
        """Returns the folder that paths in a job's result begin from."""

    def state(self, job: "Job", training: str) -> Path:
        """Returns the file from which a training of a job goes on after an interruption."""

    def base(self, job: "Job") -> tuple[keras.Model, tuple[str, ...] | None]:
        """Returns the base that a finished job made, and its class names."""

    def reading(self, job: "Job") -> AbstractContextManager[None]:
        """Returns what the files of a finished job are read in: an error says how to mend them."""

    def result(self, job: "Job") -> Result:
        """Returns the result of a finished job."""

    def keep_base(self, job: "Job", base: keras.Model, labels: tuple[str, ...] | None) -> None:
        """Writes the base that a job makes, and its class names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(abc.ABC):
    """One training, conversion or evaluation; equal fields, equal outcome.

    Attributes:
        task: Name of its task in the run.
        data: `digest()` of that task.
        seed: Seed of everything random.
    """

    task: str
    data: str
    seed: int

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is, for people; unique in a run."""

    @property
    def folder_name(self) -> str:
        """Where a run that people read has its files; jobs may share a folder."""
        return ""

    @property
    def needs(self) -> tuple["Job", ...]:
        """The jobs whose outcome it takes."""
        return ()

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns what its outcome depends on besides task, seed and needs, for JSON."""

    def plan(self, task: MeasuredTask) -> Plan:
        """Returns its trainings."""
        return {}

    @abc.abstractmethod
    def run(self, place: Workplace) -> Result:
        """Does it, from where an interrupted attempt stopped, and writes its files."""

    def spec(self) -> dict[str, Any]:
        """Returns all that its outcome depends on, for JSON."""
        return {
            "kind": type(self).__name__,
            "data": self.data,
            "seed": self.seed,
            **self.settings(),
            "needs": {need.title: need.digest() for need in self.needs},
        }

    def digest(self) -> str:
        """Returns a hash of `spec`."""
        return _hash(self.spec())

    def address(self) -> str:
        """Returns a hash of all that its outcome depends on, whatever it and its needs are called.

        Jobs of one address have one outcome; `digest` tells jobs of a run apart.
        """
        needs = [need.address() for need in self.needs]
        return _hash({**self.spec(), "needs": needs})


def _hash(values):
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def work(plan: Plan) -> float:
    """Returns the work of all trainings of a plan."""
    return sum(examples for _, examples in plan.values())


def by_name(logs: list[dict[str, float]]) -> History:
    """Turns the logs of epochs into lists by name."""
    names = logs[0] if logs else ()
    return {name: [finite_or_none(epoch[name]) for epoch in logs] for name in names}


def timed(logs: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Returns the fields `histories` and `seconds` of a `Result` for the logs of trainings."""
    return {
        "histories": {title: by_name(epochs) for title, epochs in logs.items()},
        "seconds": {
            title: round(sum(epoch["seconds"] for epoch in epochs), 1)
            for title, epochs in logs.items()
        },
    }


def without_new_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what jobs did without before there was such a setting, so that digests stay."""
    return {
        name: without_new_defaults(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if (name, value) not in _NEW_DEFAULTS
    }
