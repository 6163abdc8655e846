"""Masks that keep or drop single weights of a frozen kernel, at one bit a weight."""

from collections.abc import Mapping

import keras
import numpy as np

from swr_keras.layers.reparametrized_model import policy_layers

MASK = "_mask"
"""What the name of a mask ends in, where that of a delta ends in `_delta`."""


def masked_delta(frozen, mask):
    """Returns the delta that makes `mask * frozen` of `frozen`.

    Args:
        frozen: A frozen weight.
        mask: 1 for each weight that stays and 0 for each that is dropped, of the same shape.
    """
    return (mask - 1.0) * frozen


def mask_bytes(size: int) -> int:
    """Returns the bytes of a mask of so many weights."""
    return -(-size // 8)


def pack_mask(mask: np.ndarray) -> np.ndarray:
    """Returns the bits of a boolean mask, the first weight in the highest bit, `(bytes,)` uint8."""
    return np.packbits(mask, axis=None)


def unpack_mask(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the boolean mask of this shape that `pack_mask` packed.

    Raises:
        ValueError: If the bits are of another type, or of a mask of another size.
    """
    size = int(np.prod(shape))
    if bits.dtype != np.uint8 or bits.shape != (mask_bytes(size),):
        raise ValueError(
            f"A mask of {size} weights must be uint8 of shape {(mask_bytes(size),)}. Received: "
            f"{bits.dtype} of shape {bits.shape}."
        )
    return np.unpackbits(bits, count=size).astype(bool).reshape(shape)


def with_deltas(arrays: Mapping[str, np.ndarray], model: keras.Model) -> dict[str, np.ndarray]:
    """Puts, in the arrays of a task, the delta in the place of each mask.

    What a layer with a mask has besides, such as its bias, gets a delta of zero.

    Args:
        arrays: Arrays by layer path and name.
        model: The reparametrized model that the paths are of.

    Raises:
        ValueError: As for `unpack_mask`.
    """
    layers = policy_layers(model)
    found = dict(arrays)
    for name in arrays:
        path, _, weight = name.removesuffix(MASK).rpartition("/")
        if not name.endswith(MASK) or path not in layers or weight not in layers[path].frozen:
            continue
        frozen = {key: np.asarray(value) for key, value in layers[path].frozen.items()}
        mask = unpack_mask(found.pop(name), frozen[weight].shape)
        delta = masked_delta(frozen[weight], mask.astype(frozen[weight].dtype))
        found[f"{path}/{weight}_delta"] = delta.astype(frozen[weight].dtype)
        for other, value in frozen.items():
            found.setdefault(f"{path}/{other}_delta", np.zeros_like(value))
    return found
