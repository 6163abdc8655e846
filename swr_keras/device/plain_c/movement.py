"""Operators that put values elsewhere, as steps: NumPy's views say from where to where."""

from collections.abc import Sequence

import numpy as np

from swr_keras.device.plain_c.constants import Array, Struct
from swr_keras.device.plain_c.graph import Operator, Tensor
from swr_keras.device.plain_c.scaling import UNLIMITED, limits
from swr_keras.device.plain_c.steps import Step

_AXES = 5


def concatenate(operator: Operator) -> list[Step]:
    """CONCATENATION."""
    if limits(operator) != UNLIMITED:
        raise operator.refusal("it has an activation fused. Use a layer of its own.")
    to = _values(operator.output)
    axis = operator.options.axis % to.ndim
    steps, start = [], 0
    for index in range(len(operator.inputs)):
        part = operator.operand(index)
        end = start + part.shape[axis]
        steps.append(_copy(operator, part, _values(part), to, _along(to, axis, start, end)))
        start = end
    return steps


def pack(operator: Operator) -> list[Step]:
    """PACK."""
    to = _values(operator.output)
    axis = operator.options.axis % to.ndim
    parts = [operator.operand(index) for index in range(len(operator.inputs))]
    return [
        _copy(operator, part, _values(part), to, np.moveaxis(to, axis, 0)[index])
        for index, part in enumerate(parts)
    ]


def unpack(operator: Operator) -> list[Step]:
    """UNPACK."""
    source = operator.activation(0)
    whole = _values(source)
    parts = np.moveaxis(whole, operator.options.axis % whole.ndim, 0)
    return [
        _part(operator, source, whole, parts[i], output)
        for i, output in enumerate(operator.outputs)
    ]


def split(operator: Operator) -> list[Step]:
    """SPLIT and SPLIT_V."""
    axis_input, value = (0, 1) if operator.name == "SPLIT" else (2, 0)
    source = operator.activation(value)
    whole = _values(source)
    axis = int(operator.constant(axis_input).ravel()[0]) % whole.ndim
    steps, start = [], 0
    for output in operator.outputs:
        end = start + output.shape[axis]
        steps.append(_part(operator, source, whole, _along(whole, axis, start, end), output))
        start = end
    return steps


def transpose(operator: Operator) -> list[Step]:
    """TRANSPOSE."""
    source = operator.activation(0)
    whole = _values(source)
    return [_part(operator, source, whole, whole.transpose(operator.constant(1)), operator.output)]


def reverse(operator: Operator) -> list[Step]:
    """REVERSE_V2."""
    source = operator.activation(0)
    whole = _values(source)
    axes = tuple(int(axis) for axis in operator.constant(1).ravel())
    return [_part(operator, source, whole, np.flip(whole, axes), operator.output)]


def strided_slice(operator: Operator) -> list[Step]:
    """STRIDED_SLICE."""
    source, options = operator.activation(0), operator.options
    if options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False):
        raise operator.refusal("it has an ellipsis or a new axis. Reshape instead.")
    begins, ends, steps = (operator.constant(index).ravel() for index in (1, 2, 3))
    index: list[int | slice] = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if options.shrinkAxisMask >> axis & 1:
            index.append(int(begin))
        else:
            first = None if options.beginMask >> axis & 1 else int(begin)
            index.append(slice(first, None if options.endMask >> axis & 1 else int(end), int(step)))
    whole = _values(source)
    return [_part(operator, source, whole, whole[tuple(index)], operator.output)]


def every(operator: Operator, rows: int, columns: int) -> Step:
    """Takes a value of so many rows and columns."""
    source = operator.activation(0)
    whole = _values(source)
    return _part(operator, source, whole, whole[:, ::rows, ::columns], operator.output)


def slice_(operator: Operator) -> list[Step]:
    """SLICE."""
    source = operator.activation(0)
    whole = _values(source)
    index = tuple(
        slice(int(begin), None if size < 0 else int(begin + size))
        for begin, size in zip(
            operator.constant(1).ravel(), operator.constant(2).ravel(), strict=True
        )
    )
    return [_part(operator, source, whole, whole[index], operator.output)]


def broadcast_to(operator: Operator) -> list[Step]:
    """BROADCAST_TO."""
    source = operator.activation(0)
    whole = _values(source)
    view = np.broadcast_to(whole, operator.output.shape)
    return [_part(operator, source, whole, view, operator.output)]


def depth_to_space(operator: Operator) -> list[Step]:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    source, block = operator.activation(0), operator.options.blockSize
    whole, to = _values(source), _values(operator.output)
    wide, narrow = (whole, to) if operator.name == "SPACE_TO_DEPTH" else (to, whole)
    batch, height, width, _ = narrow.shape
    blocks = wide.reshape(batch, height, block, width, block, -1).transpose(0, 1, 3, 2, 4, 5)
    flat = narrow.reshape(blocks.shape)
    views = (blocks, flat) if wide is whole else (flat, blocks)
    return [_copy(operator, source, whole, to, views[1], view=views[0])]


def pad(operator: Operator) -> list[Step]:
    """PAD and PADV2."""
    source, output = operator.activation(0), operator.output
    value = output.zero_point
    if operator.name == "PADV2":
        value = int(operator.constant(2).ravel()[0])
    to = _values(output)
    inside = to[
        tuple(
            slice(int(before), int(before) + size)
            for (before, _), size in zip(operator.constant(1), source.shape, strict=True)
        )
    ]
    fill = Struct.of("SwrFill", count=output.size, value=value)
    return [
        Step("swr_fill", fill, (), output),
        _copy(operator, source, _values(source), to, inside),
    ]


def resize_nearest(operator: Operator) -> list[Step]:
    """RESIZE_NEAREST_NEIGHBOR."""
    source, output = operator.activation(0), operator.output
    batches, in_height, in_width, channels = source.shape
    rows, columns = (
        Array.of("uint16_t", _nearest(operator.options, source.shape[i], output.shape[i]))
        for i in (1, 2)
    )
    operation = Struct.of(
        "SwrSelection",
        rows=rows,
        columns=columns,
        batches=batches,
        in_height=in_height,
        in_width=in_width,
        out_height=output.shape[1],
        out_width=output.shape[2],
        channels=channels,
    )
    return [Step("swr_select", operation, (source,), output)]


def _nearest(options, size, out):
    """Returns which of the inputs each output is, in float32 as TFLite computes it."""
    corners = options.alignCorners and out > 1
    scale = np.float32(size - 1) / np.float32(out - 1) if corners else np.float32(size / out)
    places = np.arange(out, dtype=np.float32)
    places = (places + np.float32(0.5 if options.halfPixelCenters else 0)) * scale
    found = np.floor(places + np.float32(0.5)) if options.alignCorners else np.floor(places)
    return np.clip(found, 0, size - 1).astype(int)


def _values(tensor: Tensor) -> np.ndarray:
    return np.empty(tensor.shape, np.int8)


def _along(array, axis, start, end):
    return array[(slice(None),) * axis + (slice(start, end),)]


def _part(operator, source, whole, view, output):
    if view.shape != output.shape:
        raise operator.refusal(f"it writes shape {output.shape} instead of {view.shape}.")
    to = _values(output)
    operation = Struct.of("SwrCopy", move=_move(whole, view, to, to))
    return Step("swr_copy", operation, (source,), output)


def _copy(operator, source, whole, to, inside, *, view=None):
    constant = None if source.values is None else Array.of("int8_t", source.values.ravel())
    move = _move(whole, whole if view is None else view, to, inside)
    operation = Struct.of("SwrCopy", move=move, constant=constant)
    return Step("swr_copy", operation, () if constant else (source,), operator.output)


def _move(whole, view, to, inside):
    """Returns an `SwrMove` of one view's values to another's of the same shape."""
    axes = merged_axes(view.shape, [view.strides, inside.strides])
    sizes, from_strides, to_strides = padded(axes, _AXES)
    return Struct.of(
        "SwrMove",
        **{"from": _offset(whole, view), "to": _offset(to, inside)},
        sizes=sizes,
        from_strides=from_strides,
        to_strides=to_strides,
    )


def _offset(whole, view):
    return view.__array_interface__["data"][0] - whole.__array_interface__["data"][0]


def merged_axes(
    shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> list[tuple[int, int, int]]:
    """Returns size and both strides of as few axes as describe a pair of views."""
    axes: list[tuple[int, int, int]] = []
    for size, first, second in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1:] == (size * first, size * second):
            axes[-1] = (axes[-1][0] * size, first, second)
        else:
            axes.append((size, first, second))
    return axes


def padded(axes: Sequence[tuple[int, int, int]], count: int) -> list[tuple[int, ...]]:
    """Returns the columns of `count` axes, of which the first have one element."""
    rows = [(1, 0, 0)] * (count - len(axes)) + list(axes)
    return [tuple(column) for column in zip(*rows, strict=True)]
