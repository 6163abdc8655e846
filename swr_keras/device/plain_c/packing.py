"""Scales and biases of channels, in two bytes each where they fit."""

import numpy as np

from swr_keras.device.plain_c.constants import Array

WIDE = 255
"""Stands for 32 bits a value, see SWR_WIDE in `swr_operations.h`."""

_MANTISSA_BITS = 23
_KEPT_BITS = 10
_EXPONENTS = 1 << 16 - _KEPT_BITS
_MOST_SHIFT = 16


def pack_scales(scales: np.ndarray) -> tuple[Array, int]:
    """Returns scales as 6 bits of exponent and 10 of mantissa, and the exponent that 0 stands for.

    Where those don't express all scales, they stay float32, and the exponent is `WIDE`.

    Args:
        scales: float32 `(channels,)`, none negative.
    """
    bits = scales.astype("<f4").view("<u4")
    exponents = bits >> _MANTISSA_BITS
    least = int(exponents.min())
    dropped = bits & ((1 << _MANTISSA_BITS - _KEPT_BITS) - 1)
    if not scales.all() or dropped.any() or exponents.max() - least >= _EXPONENTS:
        return Array.of("float", scales), WIDE
    packed = (bits >> _MANTISSA_BITS - _KEPT_BITS) - (least << _KEPT_BITS)
    return Array.of("uint16_t", packed), least


def pack_biases(biases: np.ndarray) -> tuple[Array, int]:
    """Returns biases as int16 of which each is shifted left, and the shift.

    Where that doesn't express all biases, they stay int32, and the shift is `WIDE`.

    Args:
        biases: int32 `(channels,)`.
    """
    for shift in range(_MOST_SHIFT):
        short = biases >> shift
        if np.array_equal(short << shift, biases) and np.array_equal(short, short.astype(np.int16)):
            return Array.of("int16_t", short), shift
    return Array.of("int32_t", biases), WIDE
