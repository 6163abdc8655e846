"""All that firmware and its author must know of a bundle, beside it."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from swr_keras.device.bundle import Bundle
from swr_keras.export.flatbuffer import parse
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.manifest import as_json, describe_interface, read_described

_FORMAT = "swr_keras.bundle_manifest/1"
_KIND = "the manifest of a bundle"


def bundle_manifest(bundle: Bundle, front_end: Mapping[str, Any]) -> dict[str, Any]:
    """Describes a bundle as a dict that JSON can express.

    Its keys: `format`; `sha256` and `size_bytes` of the image; `front_end` with `class` and
    `parameters`; `tasks`, by name, each with its `labels`, and `input` and `output` with `shape`,
    `dtype`, `scale` and `zero_point` (`real = scale * (int8 - zero_point)`).

    Args:
        bundle: The bundle, no task of which is damaged.
        front_end: What `export.describe_front_end` returned of the front end of its tasks.

    Raises:
        ExportError: If a task is damaged, or isn't an int8 model of one input and one output.
        ValueError: If `front_end` has no class or parameters, or can't be expressed in JSON.
    """
    if not {"class", "parameters"} <= set(front_end):
        raise ValueError(
            "`front_end` has a `class` and `parameters`, as `describe_front_end` returns them. "
            f"Received: {front_end!r}."
        )
    result = {
        "format": _FORMAT,
        "sha256": hashlib.sha256(bundle.image).hexdigest(),
        "size_bytes": len(bundle.image),
        "front_end": dict(front_end),
        "tasks": {name: _task(bundle, name) for name in bundle.names},
    }
    return as_json(result, f"front_end={front_end!r}")


def read_bundle_manifest(path: str | os.PathLike, bundle: Bundle) -> dict[str, Any]:
    """Reads the manifest beside a bundle: the JSON file of the same stem.

    Args:
        path: The file of the bundle.
        bundle: The bundle.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none, or that of another bundle.
    """
    return read_described(path, bundle.image, form=_FORMAT, kind=_KIND, what="bundle")


def _task(bundle, name):
    model = LiteModel(parse(bundle.model(name)))
    return {"labels": list(bundle.labels(name)), **describe_interface(model)}
