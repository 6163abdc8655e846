"""All that firmware and its author must know of a `.tflite` file, beside it."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from swr_keras.export.arena import arena_bytes_host
from swr_keras.export.flatbuffer import read_model
from swr_keras.export.int8_model import Int8Model
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.micro import has_micro
from swr_keras.files import read_json
from swr_keras.version import __version__

_FORMAT = "swr_keras.manifest/1"
_KIND = "the manifest of a model"
_ARENA_NOTE = (
    "Measured on a 64-bit host with TFLite Micro's reference kernels. A device with 32-bit "
    "pointers takes some 10 % less; optimised kernels add scratch buffers."
)


def read_manifest(path: str | os.PathLike, data: bytes) -> dict[str, Any]:
    """Reads the manifest beside a `.tflite` file: the JSON file of the same stem.

    Args:
        path: The `.tflite` file.
        data: Its contents.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none, or that of another file.
    """
    found = read_described(path, data, form=_FORMAT, kind=_KIND, what="file")
    labels = found.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"'{path}' has no list of labels beside it. Received: {labels!r:.200}.")
    return found


def read_described(
    path: str | os.PathLike, data: bytes, *, form: str, kind: str, what: str
) -> dict[str, Any]:
    """Reads the JSON file of the same stem that describes a file.

    Args:
        path: The file that is described.
        data: Its contents, whose digest must be the one in the description.
        form: Its `format`.
        kind: What the description is, for messages.
        what: What the file is, for messages.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it isn't of this format, says nothing of the front end, or describes another
            file.
    """
    beside = pathlib.Path(path).with_suffix(".json")
    found = read_json(beside, kind=kind)
    if not isinstance(found, dict) or found.get("format") != form:
        received = found.get("format") if isinstance(found, dict) else found
        raise ValueError(
            f"'{beside}' isn't {kind}, whose format is {form!r}. Received: {received!r:.200}."
        )
    if "front_end" not in found:
        raise ValueError(f"'{beside}' says nothing of the front end of '{path}'.")
    if found.get("sha256") != hashlib.sha256(data).hexdigest():
        raise ValueError(
            f"'{beside}' describes another {what} than '{path}', or one of them is damaged. Write "
            "both again."
        )
    return found


def as_json(described: dict[str, Any], given: str) -> dict[str, Any]:
    """Returns a description as JSON gives it back.

    Args:
        described: What is to be written.
        given: What of it a caller gave, for the message.

    Raises:
        ValueError: If it can't be expressed in JSON.
    """
    try:
        return json.loads(json.dumps(described, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The manifest must be expressible in JSON: plain strings, finite numbers, lists. "
            f"Received: {given} ({error})."
        ) from None


def manifest(
    model: Any,
    *,
    labels: Sequence[str],
    front_end: Any,
    calibration_names: Sequence[str],
    accuracy: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Describes an int8 `.tflite` file as a dict that JSON can express.

    Its keys: `format`; `sha256` and `size_bytes` of the file; `labels`; `front_end` with `class`
    and `parameters`; `input` and `output`, each with `shape`, `dtype`, `scale` and `zero_point`
    (`real = scale * (int8 - zero_point)`); `operators`, the count of each; `arena` with
    `bytes_host_estimate` and a note on what that is worth, null where TFLite Micro isn't
    installed; `verification`, which `engines` ran how many `examples`, and how far they differ,
    null where it isn't known; `calibration`, the names of the examples, and `calibration_record`,
    see `Calibration`; `accuracy`; `versions`.

    Args:
        model: What `convert_int8` returned, or a model as for `LiteModel`, whose verification
            isn't known.
        labels: Class names in the order of the outputs.
        front_end: The front end that the model was trained on, a dataclass such as
            `audio.LogMel()`.
        calibration_names: Names of the clips given to `convert_int8` as calibration, in order.
        accuracy: Whatever was measured, by name; `{"float": ..., "int8": ...}` by custom.

    Raises:
        ExportError: If `data` isn't an int8 model that TFLite Micro runs.
        ValueError: If the number of labels isn't that of the outputs, labels repeat, `front_end`
            is no dataclass instance, or a value can't be expressed in JSON.

    Example:
        >>> manifest(data, labels=["no", "yes"], front_end=LogMel(), calibration_names=names)
    """
    contents = read_model(model)
    lite = LiteModel(contents)
    _check_labels(labels, lite.output_shape[-1])
    result = {
        "format": _FORMAT,
        "sha256": hashlib.sha256(contents.data).hexdigest(),
        "size_bytes": len(contents.data),
        "labels": list(labels),
        "front_end": describe_front_end(front_end),
        **describe_interface(lite),
        "operators": dict(Counter(operator.name for operator in contents.operators)),
        "arena": _arena(contents),
        "verification": _verification(model),
        "calibration_record": _calibration(model),
        "accuracy": accuracy,
        "calibration": list(calibration_names),
        "versions": {
            "swr_keras": __version__,
            "keras": keras.version(),
            "tensorflow": tf.version.VERSION,
            "tflite_micro": importlib.metadata.version("tflite-micro") if has_micro() else None,
        },
    }
    return as_json(result, f"front_end={front_end!r}, accuracy={accuracy!r}")


def describe_front_end(front_end: Any) -> dict[str, Any]:
    """Returns the `class` of a front end and its `parameters`, as manifests have them.

    Args:
        front_end: A dataclass such as `audio.LogMel()`.

    Raises:
        ValueError: If it is no dataclass instance.
    """
    if not dataclasses.is_dataclass(front_end) or isinstance(front_end, type):
        raise ValueError(
            "`front_end` must be an instance of a dataclass, such as `audio.LogMel()`, so that its "
            f"parameters can be written down. Received: {front_end!r}."
        )
    return {"class": type(front_end).__name__, "parameters": dataclasses.asdict(front_end)}


def describe_interface(model: LiteModel) -> dict[str, Any]:
    """Returns the `input` and `output` of a model, as manifests have them."""
    return {
        "input": _tensor(model.input_shape, model.input_scale, model.input_zero_point),
        "output": _tensor(model.output_shape, model.output_scale, model.output_zero_point),
    }


def _arena(contents):
    if not has_micro():
        return None
    return {"bytes_host_estimate": arena_bytes_host(contents), "note": _ARENA_NOTE}


def _verification(model):
    if not isinstance(model, Int8Model):
        return None
    found = model.verification
    return {
        "engines": list(found.engines),
        "examples": found.num_inputs,
        "max_lsb": found.max_lsb,
        "differing": found.differing,
    }


def _calibration(model):
    return dataclasses.asdict(model.calibration) if isinstance(model, Int8Model) else None


def _check_labels(labels, outputs):
    if len(labels) != outputs or len(set(labels)) != len(labels):
        raise ValueError(
            f"Expected one label for each of the {outputs} outputs of the model, all different. "
            f"Received: {len(labels)} labels {list(labels)}."
        )


def _tensor(shape, scale, zero_point):
    return {
        "shape": list(shape),
        "dtype": "int8",
        "scale": float(scale),
        "zero_point": int(zero_point),
    }
