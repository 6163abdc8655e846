"""Task packs: one small file with all that a task changes of its base."""

import dataclasses
import hashlib
import os

import keras
import numpy as np

from swr_keras.graph import walk
from swr_keras.layers.conversion import reparametrize
from swr_keras.layers.extension import Extension
from swr_keras.layers.extension_kinds import extension_from_dict
from swr_keras.layers.masks import with_deltas
from swr_keras.layers.reparametrized_model import open_gates, task_variables
from swr_keras.layers.units import layers_of, policy_units
from swr_keras.policy.policy import Policy
from swr_keras.tensors import read_tensors, write_tensors

_FORMAT, _EXTENDED_FORMAT = "swr_keras.pack/3", "swr_keras.pack/4"
_FIELDS = {"num_classes": int, "batch_norm": str, "head": str, "base_fingerprint": str}
_CURE = "Copy or save it again; packs of earlier versions (.swr.h5) must be trained again."


@dataclasses.dataclass(frozen=True, eq=False)
class TaskPack:
    """What makes a task of a base: deltas, head, batch norm state and policy.

    A file of it is a safetensors file: an array a tensor, the rest as JSON in its header, with a
    checksum over all, so that a damaged file is never loaded.

    Attributes:
        arrays: The task's variables by layer path and name, e.g. `"stem_conv/kernel_delta"`; of a
            mask, such as `"stem_conv/kernel_mask"`, its bits, see `layers.masks.pack_mask`.
        policy: The layers it changes.
        num_classes: Outputs of its head.
        batch_norm: Batch norm mode it was trained with.
        head: Path of the head in the base.
        base_fingerprint: `fingerprint` of the base.
        extension: What it adds to the base; `None` for nothing.
    """

    arrays: dict[str, np.ndarray]
    policy: Policy
    num_classes: int
    batch_norm: str
    head: str
    base_fingerprint: str
    extension: Extension | None = None

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
            base,
            num_classes=self.num_classes,
            head=self.head,
            batch_norm=self.batch_norm,
            extension=self.extension,
        )
        units = policy_units(base, head=self.head, batch_norm=self.batch_norm)
        chosen = layers_of(units, self.policy.selected_layers)
        open_gates(model, chosen)
        self.assign_to(model, task_variables(model, self.head, chosen))
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

    def assign_to(self, model: keras.Model, variables: dict[str, keras.Variable]):
        """Gives a task's variables the values of the pack; a mask becomes a delta.

        Args:
            model: The reparametrized model that the variables are of.
            variables: What `task_variables` tells of it.

        Raises:
            ValueError: If an array is missing, unknown or of another shape.
        """
        arrays = with_deltas(self.arrays, model)
        missing, unknown = sorted(variables.keys() - arrays), sorted(arrays - variables.keys())
        if missing or unknown:
            raise ValueError(
                f"The pack does not fit its policy: missing arrays {missing}, unknown arrays "
                f"{unknown}. Save the pack again from its task model."
            )
        wrong = {
            name: f"{arrays[name].shape} instead of {tuple(variable.shape)}"
            for name, variable in variables.items()
            if arrays[name].shape != tuple(variable.shape)
        }
        if wrong:
            raise ValueError(f"Arrays of the pack have wrong shapes: {wrong}.")
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def save(self, path: str | os.PathLike):
        """Writes the pack as a safetensors file, whole or not at all.

        Without an extension, as a file of the format that has none.
        """
        about = {name: getattr(self, name) for name in _FIELDS}
        about |= {"policy": self.policy.as_dict(), "keras": keras.version()}
        if self.extension is None:
            write_tensors(path, self.arrays, about, form=_FORMAT)
        else:
            about["extension"] = self.extension.as_dict()
            write_tensors(path, self.arrays, about, form=_EXTENDED_FORMAT)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "TaskPack":
        """Reads a pack.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no pack, a damaged one, or one of another version.
        """
        forms = (_FORMAT, _EXTENDED_FORMAT)
        arrays, about = read_tensors(path, form=forms, kind="a task pack", cure=_CURE)
        try:
            return cls._from(arrays, about)
        except ValueError as error:
            raise ValueError(f"'{path}' is a damaged task pack: {error} {_CURE}") from None

    @classmethod
    def _from(cls, arrays, about):
        names = {*_FIELDS, "policy", "keras"}
        if not isinstance(about, dict) or set(about) - {"extension"} != names:
            raise ValueError(f"It is described by {sorted(names)}. Received: {about!r:.200}.")
        for name, kind in _FIELDS.items():
            if type(about[name]) is not kind:
                raise ValueError(f"`{name}` must be of type {kind.__name__}: {about[name]!r:.80}.")
        policy = Policy.from_dict(about["policy"])
        extension = extension_from_dict(about["extension"]) if "extension" in about else None
        fields = {name: about[name] for name in _FIELDS}
        return cls(arrays=arrays, policy=policy, extension=extension, **fields)


def fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of what a model has learned.

    That is its weights, by shapes, dtypes and bytes, in order, and the vocabularies of its layers.
    """
    digest = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(variable.numpy())
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    for _, layer in walk(model):
        if hasattr(layer, "get_vocabulary"):
            digest.update(repr(list(map(str, layer.get_vocabulary()))).encode())
    return digest.hexdigest()
