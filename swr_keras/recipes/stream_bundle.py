"""The tasks of a bundle, ready to listen."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from swr_keras import audio
from swr_keras.device import Bundle, DeviceTask, HostModel, read_bundle_manifest, to_c
from swr_keras.export import ExportError, LiteModel
from swr_keras.export.flatbuffer import parse
from swr_keras.files import read_bytes
from swr_keras.split_task import BASE
from swr_keras.streaming import Network


class _Compiled(LiteModel):
    """A model that is computed by its C sources, compiled here."""

    def __init__(self, contents: Any):
        super().__init__(contents)
        self._host = HostModel(to_c({"task": DeviceTask(contents, ())}))

    def predict_int8(self, q: np.ndarray) -> np.ndarray:
        return self._host.predict_int8("task", q).reshape(-1, *self.output_shape[1:])


ENGINES: dict[str, Callable[[Any], Network]] = {
    "litert": functools.partial(LiteModel, engine="litert"),
    "tflm": functools.partial(LiteModel, engine="tflm"),
    "c": _Compiled,
}
"""What computes a model of a bundle; each takes what it contains, as `parse` gives it.

All are exact stand-ins for a device: LiteRT's optimised kernels would differ by 1-2 LSB. C, which
needs a compiler, is the fastest.
"""


@dataclasses.dataclass(frozen=True)
class Ears:
    """What listens.

    Attributes:
        front_end: The front end that all tasks share.
        networks: Their networks by name.
        labels: The names of their classes.
    """

    front_end: audio.FrontEnd
    networks: Mapping[str, Network]
    labels: Mapping[str, tuple[str, ...]]


def open_bundle(path: str, tasks: Sequence[str] | None, engine: str) -> Ears:
    """Reads a bundle and its manifest.

    Args:
        path: The file of the bundle.
        tasks: Names of the tasks that listen; `None` for all but the base.
        engine: One of `ENGINES`.

    Raises:
        ImportError: If the front end or the engine needs a package that isn't installed.
        OSError: If the engine needs a compiler, and none is installed.
        FileNotFoundError: If there is no bundle, or no manifest beside it.
        ValueError: If one is damaged, or there is no such task.
    """
    data = read_bytes(path, kind="a bundle")
    try:
        bundle = Bundle.from_bytes(data)
    except ExportError as error:
        raise ValueError(f"'{path}' can't be read as a bundle: {error}") from error
    manifest = read_bundle_manifest(pathlib.Path(path), bundle)
    labels = {name: bundle.labels(name) for name in _names(bundle, tasks)}
    networks = {name: ENGINES[engine](parse(bundle.model(name))) for name in labels}
    for name, network in networks.items():
        if network.output_shape[-1] != len(labels[name]):
            raise ValueError(
                f"'{name}' in '{path}' has {network.output_shape[-1]} outputs, but the labels "
                f"{labels[name]}. Build the bundle again."
            )
    return Ears(audio.front_end_from(manifest.get("front_end")), networks, labels)


def _names(bundle, tasks):
    if tasks is None:
        found = tuple(name for name in bundle.names if name != BASE)
        return found or bundle.names
    unknown = [name for name in tasks if name not in bundle.names]
    if unknown or not tasks:
        raise ValueError(
            f"--task names tasks of the bundle, which has {list(bundle.names)}. Received: "
            f"{list(tasks)}."
        )
    return tuple(dict.fromkeys(tasks))
