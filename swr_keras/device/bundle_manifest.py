"""All that firmware and its author must know of a bundle, beside it."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from swr_keras.device.bundle import Bundle
from swr_keras.export.flatbuffer import parse
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.manifest import describe_interface
from swr_keras.files import read_json

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
    try:
        return json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The manifest must be expressible in JSON: plain strings, finite numbers, lists. "
            f"Received: front_end={front_end!r} ({error})."
        ) from None


def read_bundle_manifest(path: str | os.PathLike, bundle: Bundle) -> dict[str, Any]:
    """Reads the manifest beside a bundle: the JSON file of the same stem.

    Args:
        path: The file of the bundle.
        bundle: The bundle.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none, or that of another bundle.
    """
    beside = pathlib.Path(path).with_suffix(".json")
    found = read_json(beside, kind=_KIND)
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        received = found.get("format") if isinstance(found, dict) else found
        raise ValueError(
            f"'{beside}' isn't {_KIND}, whose format is {_FORMAT!r}. Received: {received!r:.200}."
        )
    if "front_end" not in found:
        raise ValueError(f"'{beside}' says nothing of the front end of '{path}'.")
    if found.get("sha256") != hashlib.sha256(bundle.image).hexdigest():
        raise ValueError(
            f"'{beside}' describes another bundle than '{path}'. Write both with `write_bundle`."
        )
    return found


def _task(bundle, name):
    model = LiteModel(parse(bundle.model(name)))
    return {"labels": list(bundle.labels(name)), **describe_interface(model)}
