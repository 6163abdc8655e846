"""Jobs that make the base: trained on the classes of all tasks, or given."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import keras

from swr_keras.accounting import base_parameters, summary
from swr_keras.backbones import BUILDERS, PUBLISHED
from swr_keras.backbones.applications import IMAGENET
from swr_keras.files import read_bytes, read_json, write_json
from swr_keras.jobs.job import Job, timed, without_new_defaults
from swr_keras.jobs.result import Result
from swr_keras.jobs.schema import conform
from swr_keras.layers.head import find_head
from swr_keras.model_files import load_model, save_model
from swr_keras.training.fit import Fit

_MODEL, _LABELS = "base.keras", "base.json"


class _Labels(TypedDict):
    labels: tuple[str, ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainBase(Job):
    """Trains a base.

    Attributes:
        backbone: Name of its architecture, one of `backbones.BUILDERS`.
        fit: How it is trained.
        precision: Name of the dtype policy of its layers, which models made of it inherit.
    """

    backbone: str
    fit: Fit
    precision: str = "float32"

    title = "base"

    def settings(self):
        settings = {"backbone": self.backbone, "fit": dataclasses.asdict(self.fit)}
        return without_new_defaults({**settings, "precision": self.precision})

    def plan(self, task):
        return {"training": self.fit.plan(task)}

    def run(self, place):
        task = place.task(self)
        keras.utils.set_random_seed(self.seed)
        base = self._build(task)
        logs = self.fit.resolved(base, task).run(
            base, task, state=place.state(self, "training"), verbose=place.verbose
        )
        place.keep_base(self, base, task.labels)
        return _result(self, base, task.input_shape, **timed({"training": logs}))

    def _build(self, task):
        with _precision(self.precision):
            build = BUILDERS[self.backbone]
            return build(num_classes=task.num_classes, input_shape=task.input_shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenBase(Job):
    """Takes a base that was trained before.

    Attributes:
        fingerprint: `tasks.fingerprint` of it.
        model: The base.
        labels: Its class names, where they are known.
    """

    fingerprint: str
    model: Any = dataclasses.field(compare=False, repr=False)
    labels: tuple[str, ...] | None = None

    title = "base"

    def settings(self):
        return {"fingerprint": self.fingerprint, "labels": self.labels}

    def run(self, place):
        place.keep_base(self, self.model, self.labels)
        return Result(kind="base", title=self.title, task=self.task)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedBase(Job):
    """Takes a base that others trained on ImageNet.

    Attributes:
        backbone: Name of its architecture, one of `backbones.PUBLISHED`.
        input_shape: Shape of one input.
        weights: A file of its weights, or `IMAGENET`. Its content counts, which `data` is the
            digest of, not its path.
        precision: As of `TrainBase`.
    """

    backbone: str
    input_shape: tuple[int, int, int]
    weights: str
    precision: str = "float32"

    title = "base"

    def settings(self):
        settings = {"backbone": self.backbone, "input_shape": list(self.input_shape)}
        return without_new_defaults({**settings, "precision": self.precision})

    def run(self, place):
        if weights_digest(self.weights) != self.data:
            raise ValueError(f"'{self.weights}' changed since this job was planned. Plan it anew.")
        with _precision(self.precision):
            base = PUBLISHED[self.backbone](input_shape=self.input_shape, weights=self.weights)
        place.keep_base(self, base, None)
        return _result(self, base, self.input_shape)


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Builds layers of a dtype policy, which the process has before and after."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _result(job, base, input_shape, **more):
    costs = summary(base, input_shape=input_shape)
    return Result(
        kind="base",
        title=job.title,
        task=job.task,
        owned_parameters=base_parameters(costs, find_head(base)),
        multiplies=costs.multiplies,
        **more,
    )


def weights_digest(weights: str) -> str:
    """Returns a hash of a file of weights; `IMAGENET` stands for itself.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no regular file.
    """
    if weights == IMAGENET:
        return IMAGENET
    return hashlib.sha256(read_bytes(Path(weights), kind="a file of weights")).hexdigest()


def write_base(folder: Path, base: keras.Model, labels: tuple[str, ...] | None) -> None:
    """Writes a base and its class names, where they are known."""
    save_model(base, folder / _MODEL)
    write_json(folder / _LABELS, {"labels": labels})


def read_base(folder: Path) -> tuple[keras.Model, tuple[str, ...] | None]:
    """Reads what `write_base` wrote.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """
    labels = read_labels(folder)
    return load_model(folder / _MODEL), labels


def read_labels(folder: Path) -> tuple[str, ...] | None:
    """Reads the class names that `write_base` wrote; `None` where they aren't known.

    Raises:
        ValueError: If their file is damaged.
    """
    path = folder / _LABELS
    return conform(read_json(path, kind="class names"), _Labels, f"'{path}'")["labels"]
