"""Layers that a task adds to a base."""

import abc
import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, ClassVar

import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extension(abc.ABC):
    """A way to add layers to a base. A value: equal settings, equal layers.

    Attributes:
        kind: Its name in a file.
    """

    kind: ClassVar[str]

    @abc.abstractmethod
    def extend(self, base: keras.Model) -> keras.Model:
        """Returns the base with more layers; those of the base keep their paths and weights.

        Args:
            base: A built Functional or Sequential model; it is not touched.

        Raises:
            ValueError: If the base isn't one for these layers.
        """

    def is_copy(self, path: str) -> bool:
        """Whether a layer that it adds begins as one of the base's."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """Returns the kind and the settings as a dict that JSON can express."""
        fields = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return {"kind": self.kind, **fields}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Extension":
        """Makes one of the settings in a dict, all of which it must have.

        Raises:
            ValueError: If a setting is missing, unknown, of another type or out of range.
        """
        hints = typing.get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        if set(fields) != set(names):
            raise ValueError(
                f"An extension of kind '{cls.kind}' has the fields {names}. Received: "
                f"{sorted(fields)!r:.200}."
            )
        return cls(**{name: _conform(fields[name], hints[name], name) for name in names})


def _conform(value, hint, name):
    if hint == tuple[str, ...] and isinstance(value, list):
        if all(type(item) is str for item in value):
            return tuple(value)
    elif type(value) is hint or (hint is float and type(value) is int):
        return value
    raise ValueError(f"`{name}` must be of type {hint}. Received: {value!r:.80}.")


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raises ValueError unless a setting is in a closed range."""
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"`{name}` must be from {least} to {most}. Received: {value!r}.")


def check_image(base: keras.Model, tensor: keras.KerasTensor, what: str) -> None:
    """Raises ValueError unless a tensor of a base is `(batch, height, width, channels)`."""
    if len(tensor.shape) != 4 or tensor.shape[-1] is None:
        raise ValueError(
            f"{what} takes tensors (batch, height, width, channels). Received: {tensor.shape} in "
            f"'{base.name}'. Reshape the inputs of the base, or choose another method."
        )
