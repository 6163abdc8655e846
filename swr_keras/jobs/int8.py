"""The jobs that bring the base and its tasks to a device."""

import dataclasses
import hashlib
import re

from swr_keras.device import write_deployment
from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.flatbuffer import FlatBuffer, parse
from swr_keras.files import write_atomically
from swr_keras.jobs.evaluation import measure
from swr_keras.jobs.job import Job
from swr_keras.jobs.model import AdaptModel
from swr_keras.jobs.result import Result
from swr_keras.model_files import load_model

BASE_INT8 = "base_int8.tflite"
"""File of the base as int8 in the folder of a run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertBase(Job):
    """Converts the base to int8, whose activation scales its tasks take.

    Attributes:
        base: The job that makes the base.
        calibration_examples: Training examples that it is calibrated on.
        given: The base as int8, where a run before made it. Tasks of several runs then have the
            same scales, and share all that they don't change.
    """

    base: Job
    calibration_examples: int
    given: FlatBuffer | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def title(self):
        return "base, int8"

    @property
    def needs(self):
        return (self.base,)

    def settings(self):
        if self.given is not None:
            return {"given": hashlib.sha256(self.given.data).hexdigest()}
        return {"calibration_examples": self.calibration_examples}

    def run(self, place):
        if self.given is not None:
            write_atomically(self.outcome(place), self.given.data)
        else:
            examples = place.task(self).calibration(self.calibration_examples)
            convert_int8(place.base(self.base)[0], examples).save(self.outcome(place))
        return Result(kind="base", title=self.title, task=self.task)

    def outcome(self, place):
        """Returns the file of the base."""
        return place.files(self) / BASE_INT8

    def converted(self, place) -> FlatBuffer:
        """Returns the base as int8."""
        with place.reading(self):
            return parse(self.outcome(place).read_bytes())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertInt8(Job):
    """Converts the model of a task to int8, verifies and measures it.

    Attributes:
        model: The job that trains it.
        base: The job that converts the base, whose activation scales it takes; `None` for a model
            of other layers, which has scales of its own.
        calibration_examples: Training examples that it is calibrated on.
    """

    model: AdaptModel
    base: ConvertBase | None
    calibration_examples: int

    @property
    def title(self):
        return f"{self.model.title}, int8"

    @property
    def folder_name(self):
        return self.model.folder_name

    @property
    def needs(self):
        return (self.model, self.base) if self.base else (self.model,)

    def settings(self):
        return {"calibration_examples": self.calibration_examples}

    def run(self, place):
        task, folder = place.task(self), place.files(self)
        trained = place.result(self.model)
        with place.reading(self.model):
            merged = load_model(place.files(self.model) / "model.keras")
        base = self.base.converted(place) if self.base else None
        int8 = convert_int8(merged, task.calibration(self.calibration_examples), like=base)
        measured = measure(LiteModel(int8), task)
        name = c_name(self.task, self.model.target_cost)
        description = write_deployment(
            folder,
            int8,
            name=name,
            labels=task.labels,
            front_end=task.front_end,
            calibration_names=task.calibration_names(self.calibration_examples),
            accuracy={
                "examples": task.examples["testing"],
                "float": trained.testing_accuracy,
                "int8": measured["testing_accuracy"],
            },
        )
        return dataclasses.replace(
            trained,
            kind="int8",
            title=self.title,
            owned_bytes=None,
            histories={},
            seconds={},
            stem=(folder / name).relative_to(place.root(self)).as_posix(),
            manifest=description,
            **measured,
        )


def c_name(task: str, cost: float | None) -> str:
    """Returns a C identifier for an int8 model, so that one firmware can hold all of a run's."""
    if not (task.isascii() and task.isidentifier()):
        task = hashed_name(task)
    at_cost = "" if cost is None else f"_c{cost:g}"
    return re.sub(r"\W", "_", f"{task}{at_cost}_int8")


def hashed_name(task: str) -> str:
    """Returns a short name of ASCII letters for a task whose own name doesn't do."""
    return f"task_{hashlib.sha256(task.encode()).hexdigest()[:8]}"
