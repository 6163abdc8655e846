"""How TFLite turns real scales and limits into integers."""

import math

import numpy as np

from swr_keras.device.plain_c.constants import Struct
from swr_keras.device.plain_c.graph import Operator

_MOST_BITS = 30

UNLIMITED = {"low": -128, "high": 127}
"""What `limits` returns without an activation."""

_NONE, _RELU, _RELU_N1_TO_1, _RELU6 = 0, 1, 2, 3
_LIMITS = {_NONE: (None, None), _RELU: (0, None), _RELU_N1_TO_1: (-1, 1), _RELU6: (0, 6)}


def fixed_point(real: float) -> tuple[int, int]:
    """Returns multiplier and shift so that `real` is about `multiplier / 2^31 * 2^shift`."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def scale_struct(operator: Operator, real: float, largest: int) -> Struct:
    """Returns an `SwrScale`.

    Args:
        operator: What it is for.
        real: The scale.
        largest: The largest absolute value that is scaled.

    Raises:
        ExportError: If a product could have more than 30 bits.
    """
    multiplier, shift = fixed_point(real)
    check_range(operator, largest, shift)
    return Struct.of("SwrScale", multiplier=multiplier, shift=shift)


def check_range(operator: Operator, largest: int, shift: int) -> None:
    """Refuses what could overflow, on a device as in TFLite."""
    if shift > _MOST_BITS or largest << max(shift, 0) >= 2**_MOST_BITS:
        raise operator.refusal(
            f"its sums reach {largest} and are scaled by 2^{shift}, which overflows. Check that "
            "the model is trained, batch-norm statistics included."
        )


def limits(operator: Operator) -> dict[str, int]:
    """Returns the smallest and largest output under the fused activation, as fields."""
    activation = getattr(operator.options, "fusedActivationFunction", _NONE)
    if activation not in _LIMITS:
        raise operator.refusal(
            f"it has activation number {activation} fused. Use ReLU, ReLU6 or none."
        )
    output = operator.output

    def quantized(value):
        # Halves go away from 0, in float32.
        ratio = float(np.float32(value) / np.float32(output.scale))
        return output.zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))

    low, high = _LIMITS[activation]
    return {
        "low": -128 if low is None else max(-128, quantized(low)),
        "high": 127 if high is None else min(127, quantized(high)),
    }
