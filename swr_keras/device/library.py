"""From a base and its tasks, as Keras models, to a bundle."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from swr_keras.device.bundle import Bundle, DeviceTask, label_bytes
from swr_keras.export.errors import ExportError
from swr_keras.export.examples import calibration_array
from swr_keras.export.int8 import convert_int8
from swr_keras.export.int8_model import Int8Model
from swr_keras.export.trace import check_exportable

BASE = "base"
"""Name of the base among the tasks of a bundle."""


class Library(Protocol):
    """A base and tasks that were made on it; `swr.TaskLibrary` is one."""

    @property
    def base(self) -> keras.Model:
        """The base."""

    def __iter__(self) -> Iterator[str]:
        """Names of the tasks."""

    def merged(self, name: str) -> keras.Model:
        """Returns the plain Keras model of a task."""


def convert_library(
    library: Library,
    calibration: Mapping[str, Any],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    image_bytes: int | None = None,
    slot_bytes: int = 4096,
) -> Bundle:
    """Converts a base and all its tasks to int8 and puts them into one image.

    The tasks take the activation scales of the base where these suit them, see `convert_int8`, so
    that the image has once what they don't change. The base is in it, too, as the task "base": what
    is added later shares all with it, whichever tasks are removed by then.

    Args:
        library: The base and its tasks, such as a `swr.TaskLibrary`. It isn't changed.
        calibration: Features of training examples for each task and for "base", by name, each as
            for `convert_int8`.
        labels: Names of the classes by task, "base" included; the image has none of those that
            aren't here.
        image_bytes, slot_bytes: As for `Bundle.build`.

    Returns:
        The bundle, the base first, then the tasks in the order of the library.

    Raises:
        ExportError: If a model can't be converted; names the task.
        ValueError: If there is no task or one is called "base", a model has an input of unknown
            size, calibration lacks or doesn't suit a model, labels don't fit, or something is for
            a task that isn't there: all before the first conversion. If the image is too small.

    Example:
        >>> features = {"base": english[:256], "mandarin": mandarin[:256]}
        >>> convert_library(library, features, image_bytes=128 * 1024).save("keywords.bin")
    """
    labels = {} if labels is None else labels
    names = tuple(library)
    if not names or BASE in names:
        raise ValueError(
            f"Expected a library of one or more tasks, none of them called '{BASE}', which is the "
            f"base's name. Received: {list(names)}."
        )
    _check_names(calibration, labels, (BASE, *names))
    models = {BASE: library.base, **{name: library.merged(name) for name in names}}
    for name, model in models.items():
        _check_model(name, model, labels.get(name, ()))
    examples = {name: _examples(name, model, calibration[name]) for name, model in models.items()}
    base = _converted(BASE, models[BASE], examples[BASE], like=None)
    tasks = {BASE: DeviceTask(base, labels.get(BASE, ()))}
    for name in names:
        int8 = _converted(name, models[name], examples[name], like=base)
        tasks[name] = DeviceTask(int8, labels.get(name, ()))
    return Bundle.build(tasks, image_bytes=image_bytes, slot_bytes=slot_bytes)


def _check_names(calibration, labels, names):
    missing = [name for name in names if name not in calibration]
    if missing:
        raise ValueError(
            f"Each task and '{BASE}' need calibration examples. Received: none for {missing}."
        )
    for what, given in (("calibration", calibration), ("labels", labels)):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(
                f"`{what}` is for the tasks {list(names)}. Received: {unknown}, which aren't there."
            )


def _check_model(name: str, model: keras.Model, labels: Sequence[str]) -> None:
    label_bytes(name, labels)
    try:
        check_exportable(model)
    except ValueError as error:
        raise ValueError(f"Task '{name}': {error}") from error
    classes = math.prod(model.outputs[0].shape[1:])
    if labels and len(labels) != classes:
        raise ValueError(
            f"Task '{name}' has {classes} outputs. Received: {len(labels)} labels, {list(labels)}."
        )


def _examples(name: str, model: keras.Model, calibration: Any) -> np.ndarray:
    try:
        return calibration_array(calibration, model.inputs[0].shape[1:])
    except ValueError as error:
        raise ValueError(f"Calibration of '{name}': {error}") from error


def _converted(
    name: str, model: keras.Model, examples: np.ndarray, like: Int8Model | None
) -> Int8Model:
    try:
        return convert_int8(model, examples, like=like)
    except ValueError as error:
        raise ExportError(f"Task '{name}': {error}") from error
