"""Task packs: one small file with all that a task changes of its base."""

import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
import zlib
from typing import Any

import h5py
import keras
import numpy as np

from swr_keras.files import write_atomically
from swr_keras.layers.conversion import open_gates, reparametrize, task_variables
from swr_keras.policy.policy import Policy

_FORMAT = "swr_keras.pack/2"
_PREFIX_BYTES = 512
_HEADER = ("num_classes", "batch_norm", "head", "base_fingerprint")


@dataclasses.dataclass(frozen=True, eq=False)
class TaskPack:
    """What makes a task of a base: deltas, head, batch norm state and policy.

    A file of it is HDF5 behind a prefix of 512 bytes that holds a checksum of the rest, so a
    damaged file is never loaded. The HDF5 has two datasets of bytes: `arrays`, all values one
    after the other, and `header`, JSON compressed by zlib with the name, shape and dtype of each
    array and the rest. A dataset an array would take several times the room.

    Attributes:
        arrays: The task's variables by layer path and name, e.g. `"stem_conv/kernel_delta"`.
        policy: The layers it changes.
        num_classes: Outputs of its head.
        batch_norm: Batch norm mode it was trained with.
        head: Path of the head in the base.
        base_fingerprint: `fingerprint` of the base.
    """

    arrays: dict[str, np.ndarray]
    policy: Policy
    num_classes: int
    batch_norm: str
    head: str
    base_fingerprint: str

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def on(self, base: keras.Model) -> keras.Model:
        """Returns the task's model on its base, made of reparametrized layers.

        Raises:
            ValueError: As for `check_base` and `assign_to`.
        """
        self.check_base(base)
        model = reparametrize(
            base, num_classes=self.num_classes, head=self.head, batch_norm=self.batch_norm
        )
        chosen = self.policy.selected_layers
        open_gates(model, chosen)
        self.assign_to(task_variables(model, self.head, chosen))
        return model

    def check_base(self, base: keras.Model):
        """Raises ValueError unless the pack was made on this base."""
        found = fingerprint(base)
        if found != self.base_fingerprint:
            raise ValueError(
                f"The pack was made on another base: it expects the fingerprint "
                f"{self.base_fingerprint[:12]}, '{base.name}' has {found[:12]}. Load the base "
                "that the pack was trained on."
            )

    def assign_to(self, variables: dict[str, keras.Variable]):
        """Gives a task's variables the values of the pack.

        Raises:
            ValueError: If an array is missing, unknown or of another shape.
        """
        missing, unknown = (
            sorted(variables.keys() - self.arrays),
            sorted(self.arrays - variables.keys()),
        )
        if missing or unknown:
            raise ValueError(
                f"The pack does not fit its policy: missing arrays {missing}, unknown arrays "
                f"{unknown}. Save the pack again from its task model."
            )
        wrong = {
            name: f"{self.arrays[name].shape} instead of {tuple(variable.shape)}"
            for name, variable in variables.items()
            if self.arrays[name].shape != tuple(variable.shape)
        }
        if wrong:
            raise ValueError(f"Arrays of the pack have wrong shapes: {wrong}.")
        for name, variable in variables.items():
            variable.assign(self.arrays[name])

    def save(self, path: str | os.PathLike):
        """Writes the pack, whole or not at all."""
        content = self._to_hdf5()
        write_atomically(path, _prefix(hashlib.sha256(content).hexdigest()) + content)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "TaskPack":
        """Reads a pack.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no pack, or a damaged one.
        """
        data = pathlib.Path(path).read_bytes()
        prefix, content = data[:_PREFIX_BYTES], data[_PREFIX_BYTES:]
        try:
            header = json.loads(prefix.decode())
            known = header["format"] == _FORMAT and prefix == _prefix(header["sha256"])
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ValueError(
                f"'{path}' is no task pack of format '{_FORMAT}', or its first bytes are damaged. "
                f"Received {len(data)} bytes beginning with {data[:24]!r}."
            )
        if hashlib.sha256(content).hexdigest() != header["sha256"]:
            raise ValueError(
                f"Task pack '{path}' is damaged (truncated or changed): the checksum of its "
                f"{len(data)} bytes is wrong. Copy or save it again."
            )
        return cls._from_hdf5(content)

    def _to_hdf5(self):
        buffer = io.BytesIO()
        header: dict[str, Any] = {name: getattr(self, name) for name in _HEADER}
        header["policy"] = self.policy.to_json()
        header["arrays"] = [(name, a.shape, a.dtype.name) for name, a in self.arrays.items()]
        header["keras"] = keras.version()
        content = b"".join(array.tobytes() for array in self.arrays.values())
        with h5py.File(buffer, "w") as file:
            # HDF5's own compression takes more room than it saves here.
            packed = zlib.compress(json.dumps(header).encode())
            file["header"] = np.frombuffer(packed, "uint8")
            file["arrays"] = np.frombuffer(content, "uint8")
        return buffer.getvalue()

    @classmethod
    def _from_hdf5(cls, content):
        with h5py.File(io.BytesIO(content), "r") as file:
            header = json.loads(zlib.decompress(file["header"][()].tobytes()))
            values = file["arrays"][()].tobytes()
        header.pop("keras")
        arrays, start = {}, 0
        for name, shape, dtype in header["arrays"]:
            array = np.frombuffer(values, np.dtype(dtype), math.prod(shape), start)
            arrays[name] = array.reshape(shape)
            start += array.nbytes
        header.update(arrays=arrays, policy=Policy.from_json(header["policy"]))
        return cls(**header)


def _prefix(digest):
    return json.dumps({"format": _FORMAT, "sha256": digest}).encode().ljust(_PREFIX_BYTES)


def fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's weights: shapes, dtypes and bytes, in order."""
    digest = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(variable.numpy())
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
