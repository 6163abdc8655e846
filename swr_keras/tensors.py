"""Arrays with a description in one safetensors file, which is checked before it is believed."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from swr_keras.files import parse_json, read_bytes, write_atomically

_ENTRY = "swr_keras"
_MOST_HEADER_BYTES = 2**24
_DTYPES = {
    "BOOL": np.dtype("bool"),
    "U8": np.dtype("uint8"),
    "I8": np.dtype("int8"),
    "I32": np.dtype("int32"),
    "U32": np.dtype("uint32"),
    "I64": np.dtype("int64"),
    "F16": np.dtype("float16"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("float32"),
    "F64": np.dtype("float64"),
}


def write_tensors(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], about: Any, *, form: str
) -> None:
    """Writes arrays and a description, whole or not at all; the same give the same bytes.

    Args:
        path: The file.
        arrays: The arrays by name.
        about: The description, which JSON can express.
        form: Name and version of the format, such as "swr_keras.pack/3".
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    header = {"format": form, "about": about, "sha256": _digest(arrays, about, form)}
    # One entry, since the order of several isn't always the same.
    content = safetensors.numpy.save(arrays, {_ENTRY: _compact(header)})
    write_atomically(path, content)


def read_tensors(
    path: str | os.PathLike,
    *,
    form: str | tuple[str, ...],
    kind: str,
    cure: str,
    finite: bool = True,
) -> tuple[dict[str, np.ndarray], Any]:
    """Reads what `write_tensors` wrote.

    Args:
        path: The file.
        form: Its format, or those it may have.
        kind: What it should be, for messages, such as "a task pack".
        cure: What to do if it isn't, for messages.
        finite: Whether all values must be finite.

    Returns:
        The arrays by name, and the description.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is another file, of another format, damaged, or has values that aren't
            finite; names the file.
    """
    data = read_bytes(path, kind=kind)
    try:
        return _parsed(data, form, finite)
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"'{path}' is no file of {kind}, or is damaged: {error}. {cure}") from None


def _parsed(data, form, finite):
    metadata = _metadata(data)
    forms, found = (form,) if isinstance(form, str) else form, metadata.get("format")
    if found not in forms:
        raise ValueError(f"its format is {str(found)[:80]!r}, expected '{forms[-1]}'")
    arrays = {}
    for name, tensor in safetensors.deserialize(data):
        values = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
        arrays[name] = values.reshape(tensor["shape"])
    about = metadata["about"]
    if _digest(arrays, about, found) != metadata.get("sha256"):
        raise ValueError("its checksum is wrong")
    odd = [name for name, a in arrays.items() if finite and not np.isfinite(np.float64(a)).all()]
    if odd:
        raise ValueError(f"it has NaN or infinite values in {odd[:5]}")
    return arrays, about


def _metadata(data):
    """The description in the header, its size checked before anything is believed."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, _MOST_HEADER_BYTES):
        raise ValueError(f"its {len(data)} bytes begin with {data[:16]!r}")
    header = parse_json(data[8 : 8 + size].decode())
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_ENTRY), str):
        raise ValueError("its header has no description of ours")
    found = parse_json(metadata[_ENTRY])
    if not isinstance(found, dict):
        raise ValueError("the description in its header is another one")
    return found


def _digest(arrays, about, form):
    digest = hashlib.sha256(f"{form} {_compact(about)}".encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name!r} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _compact(values):
    return json.dumps(values, separators=(",", ":"), sort_keys=True)
