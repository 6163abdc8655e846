"""The files that bring a model to a device."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from swr_keras.device.bundle import Bundle
from swr_keras.device.bundle_manifest import bundle_manifest
from swr_keras.device.c_array import write_c_array
from swr_keras.export.flatbuffer import read_model
from swr_keras.export.manifest import manifest
from swr_keras.files import write_atomically, write_json


def write_bundle(
    folder: str | os.PathLike, bundle: Bundle, *, name: str, front_end: Mapping[str, Any]
) -> None:
    """Writes `<name>.bin`, its manifest `<name>.json`, and the same as C, `<name>.h` and `.cc`.

    Args:
        folder: An existing folder.
        bundle: The bundle.
        name: Stem of the files and of the C symbols, a C identifier.
        front_end: What `describe_front_end` returned of the front end of its tasks.

    Raises:
        ValueError: See `c_array` and `bundle_manifest`.
    """
    folder = pathlib.Path(folder)
    description = bundle_manifest(bundle, front_end)
    write_c_array(folder, bundle.image, name)
    bundle.save(folder / f"{name}.bin")
    write_json(folder / f"{name}.json", description)


def write_deployment(
    folder: str | os.PathLike,
    model: Any,
    *,
    name: str,
    labels: Sequence[str],
    front_end: Any,
    calibration_names: Sequence[str],
    accuracy: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Writes `<name>.tflite`, its manifest `<name>.json`, and `<name>.h` and `<name>.cc`.

    Nothing is written if anything is wrong; each file is written whole or not at all, the manifest
    last.

    Args:
        folder: An existing folder.
        model: What `convert_int8` returned, or a model as for `LiteModel`.
        name: Stem of the files and of the C symbols, a C identifier.
        labels, front_end, calibration_names, accuracy: As for `manifest`.

    Returns:
        The manifest.

    Raises:
        ExportError, ValueError: See `manifest` and `c_array`.
    """
    folder = pathlib.Path(folder)
    data = read_model(model).data
    description = manifest(
        model,
        labels=labels,
        front_end=front_end,
        calibration_names=calibration_names,
        accuracy=accuracy,
    )
    write_c_array(folder, data, name)
    write_atomically(folder / f"{name}.tflite", data)
    write_json(folder / f"{name}.json", description)
    return description
