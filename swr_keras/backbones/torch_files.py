"""State dicts in files of PyTorch or safetensors, read without PyTorch and without unpickling."""

import io
import math
import os
import zipfile

import ml_dtypes
import numpy as np
import safetensors

from swr_keras.backbones.torch_pickle import Storage, StoredTensor, read_pickle
from swr_keras.files import read_bytes

_ZIP = b"PK\x03\x04"
_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_BIG_ENDIAN = "its numbers aren't little-endian"
_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("bool"),
}
_SAFETENSORS = {
    "F32": "FloatStorage",
    "F64": "DoubleStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}

_ERRORS = (
    ValueError,
    KeyError,
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    # What zipfile raises where an entry is encrypted or of an unknown version.
    RuntimeError,
    NotImplementedError,
    EOFError,
)


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a state dict: the tensors of a PyTorch module by name.

    Nothing in the file is run or imported: its pickle is interpreted, and only what a state dict
    is made of is accepted.

    Args:
        path: A file of `torch.save(module.state_dict(), path)`, in the zip format (PyTorch 1.6 and
            newer) or the one before it, or a safetensors file.

    Returns:
        The arrays by name, in the order of the file; some read-only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these, is damaged, or holds anything else; names the file.
    """
    data = read_bytes(path, kind="a PyTorch state dict")
    try:
        return _read(data)
    except _ERRORS as error:
        raise ValueError(
            f"'{path}' can't be read as a PyTorch state dict: {error}. Write one by "
            "`torch.save(module.state_dict(), path)`, or a safetensors file."
        ) from None


def _read(data: bytes) -> dict[str, np.ndarray]:
    if data[:4] == _ZIP:
        return _read_zip(data)
    if data[8:9] == b"{":  # After the size of the header, whose bytes may be any.
        return _read_safetensors(data)
    if data[:1] == b"\x80":
        return _read_legacy(data)
    raise ValueError(f"its {len(data)} bytes begin with {data[:16]!r}")


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for name, tensor in safetensors.deserialize(data):
        if tensor["dtype"] not in _SAFETENSORS:
            raise ValueError(f"{name!r:.80} is of the dtype {tensor['dtype']}, which isn't read")
        dtype = _DTYPES[_SAFETENSORS[tensor["dtype"]]]
        arrays[name] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
    return arrays


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its entries are compressed, which PyTorch's never are")
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("its entries claim more bytes than the file has")
        names = [entry.filename for entry in entries]
        pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"it is a zip file with {len(pickles)} entries 'data.pkl', not one")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise ValueError(_BIG_ENDIAN)
        value, storages = read_pickle(io.BytesIO(archive.read(pickles[0])))
        buffers = {key: archive.read(f"{root}data/{key}") for key in storages}
    return _arrays(value, {key: memoryview(buffer) for key, buffer in buffers.items()})


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(data)
    magic, _ = read_pickle(file)
    if magic != _LEGACY_MAGIC:
        raise ValueError("it is a pickle, but none of PyTorch's")
    protocol, _ = read_pickle(file)
    system, _ = read_pickle(file)
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise ValueError(f"its protocol is {protocol!r:.40}, not {_LEGACY_PROTOCOL}")
    if system.get("little_endian") is not True:
        raise ValueError(_BIG_ENDIAN)
    value, storages = read_pickle(file)
    keys, _ = read_pickle(file)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ValueError("its list of storages has others than its tensors name")
    buffers, start = {}, file.tell()
    for key in keys:
        declared = int.from_bytes(data[start : start + 8], "little", signed=True)
        if declared != storages[key].count:
            raise ValueError(
                f"its storage {key!r:.40} should have {storages[key].count:,} values, and its "
                f"data says {declared:,}"
            )
        end = start + 8 + declared * _DTYPES[storages[key].kind].itemsize
        buffers[key] = memoryview(data)[start + 8 : end]
        start = end
    return _arrays(value, buffers)


def _arrays(value, buffers: dict[str, memoryview]) -> dict[str, np.ndarray]:
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__} in the place of a dict of tensors")
    for name, tensor in value.items():
        if not isinstance(tensor, StoredTensor):
            raise ValueError(
                f"it is a dict in which {name!r:.80} is a {type(tensor).__name__}, not a tensor"
            )
    return {name: _array(name, tensor, buffers) for name, tensor in value.items()}


def _array(name: str, tensor: StoredTensor, buffers: dict[str, memoryview]) -> np.ndarray:
    """Views a tensor in its storage, so no file can claim more memory than it has bytes."""
    storage: Storage = tensor.storage
    dtype, buffer = _DTYPES[storage.kind], buffers[storage.key]
    if len(buffer) != storage.count * dtype.itemsize:
        raise ValueError(
            f"the storage of {name!r:.80} should have {storage.count:,} values of {dtype}, and has "
            f"{len(buffer):,} bytes"
        )
    size = math.prod(tensor.size)
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((length - 1) * stride for length, stride in steps)
    if size > storage.count or (size and last >= storage.count):
        raise ValueError(
            f"{name!r:.80} of size {tensor.size} reaches beyond its storage of {storage.count:,} "
            "values"
        )
    strides = [stride * dtype.itemsize for stride in tensor.stride]
    array = np.ndarray(
        tensor.size, dtype, buffer, tensor.offset * dtype.itemsize if size else 0, strides
    )
    array.flags.writeable = False
    return array
