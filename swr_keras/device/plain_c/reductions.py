"""Operators over whole axes, as steps."""

import math

import numpy as np

from swr_keras.device.plain_c.constants import Struct
from swr_keras.device.plain_c.graph import Operator
from swr_keras.device.plain_c.scaling import check_range, fixed_point
from swr_keras.device.plain_c.steps import Step

_AXES = 4
_SUM_BYTES = 4
_LARGEST_INPUT = 255  # From its zero point.

_SOFTMAX_BITS = 5  # Integer bits of what is exponentiated.


def total(operator: Operator) -> list[Step]:
    """MEAN and SUM."""
    source, output = operator.activation(0), operator.output
    axes = _axes(operator)
    count = math.prod(source.shape[axis] for axis in axes)
    zero_sum = count * source.zero_point
    multiplier, shift = fixed_point(source.scale / output.scale)
    if operator.name == "MEAN":
        same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
        # TFLite divides, without rounding, where no scale changes.
        multiplier, shift = (0, 0) if same else _divided(multiplier, shift, count)
    check_range(operator, count * _LARGEST_INPUT, shift)
    operation = Struct.of(
        "SwrMean",
        reduction=_reduction(operator, axes),
        scale=Struct.of("SwrScale", multiplier=multiplier, shift=shift),
        zero_sum=zero_sum,
        divisor=count,
        output_zero_point=output.zero_point,
    )
    scratch = _SUM_BYTES * output.size
    return [Step("swr_reduce_sum", operation, (source,), output, scratch)]


def _divided(multiplier, shift, count):
    """Puts 1 / count into a fixed-point scale, as TFLite rounds it."""
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << more) // count, shift - more


def largest(operator: Operator) -> list[Step]:
    """REDUCE_MAX and REDUCE_MIN."""
    operation = Struct.of(
        "SwrReducedExtreme",
        reduction=_reduction(operator, _axes(operator)),
        smallest=int(operator.name == "REDUCE_MIN"),
    )
    return [Step("swr_reduce_extreme", operation, (operator.activation(0),), operator.output)]


def softmax(operator: Operator) -> list[Step]:
    """SOFTMAX."""
    source = operator.activation(0)
    most = 2.0**31 - 1
    real = min(operator.options.beta * source.scale * 2.0 ** (31 - _SOFTMAX_BITS), most)
    multiplier, shift = fixed_point(real)
    if shift < 0:
        raise operator.refusal(f"its input's scale of {source.scale} vanishes. Train again.")
    reach = ((1 << _SOFTMAX_BITS) - 1) * 2.0 ** (31 - _SOFTMAX_BITS) / 2.0**shift
    operation = Struct.of(
        "SwrSoftmax",
        rows=source.size // source.shape[-1],
        depth=source.shape[-1],
        least_difference=-min(math.floor(reach), 256),
        scale=Struct.of("SwrScale", multiplier=multiplier, shift=shift),
    )
    return [Step("swr_softmax", operation, (source,), operator.output, in_place=(0,))]


def _axes(operator):
    rank = len(operator.activation(0).shape)
    return sorted({int(axis) % rank for axis in operator.constant(1).ravel()})


def _reduction(operator, axes):
    shape = operator.activation(0).shape
    kept = np.empty([1 if axis in axes else size for axis, size in enumerate(shape)], np.int8)
    strides = [0 if axis in axes else kept.strides[axis] for axis in range(len(shape))]
    lead = _AXES - len(shape)
    return Struct.of(
        "SwrReduction",
        sizes=(1,) * lead + shape,
        strides=(0,) * lead + tuple(strides),
        output_count=operator.output.size,
    )
