"""Operators on one value at a time, or on two, as steps."""

import copy
import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.device.plain_c.constants import Array, Struct
from swr_keras.device.plain_c.graph import Operator
from swr_keras.device.plain_c.movement import merged_axes, padded
from swr_keras.device.plain_c.scaling import fixed_point, limits, scale_struct
from swr_keras.device.plain_c.steps import Step
from swr_keras.export.flatbuffer import parse
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.export.lite_model import LiteModel

_SUM_TERM_BYTES = 4 * 512
_SUM_BITS = 20
_LARGEST = 255  # Of an operand, from its zero point.
_AXES = 4
_LOGISTIC_BITS = 27  # Of what is exponentiated, behind the point; 4 before it.
_TABLE_BYTES = 256


def add(operator: Operator) -> list[Step]:
    """ADD and SUB."""
    first, second = operator.operand(0), operator.operand(1)
    shared = 2 * max(first.scale, second.scale)
    largest = _LARGEST << _SUM_BITS
    scales = {
        "first_scale": scale_struct(operator, first.scale / shared, largest),
        "second_scale": scale_struct(operator, second.scale / shared, largest),
        "output_scale": scale_struct(
            operator, shared / ((1 << _SUM_BITS) * operator.output.scale), largest
        ),
    }
    operation = Struct.of(
        "SwrSum", **_operands(operator), **scales, subtract=int(operator.name == "SUB")
    )
    return [_step(operator, "swr_add", operation, _SUM_TERM_BYTES)]


def multiply(operator: Operator) -> list[Step]:
    """MUL."""
    real = operator.operand(0).scale * operator.operand(1).scale / operator.output.scale
    operation = Struct.of(
        "SwrProduct",
        **_operands(operator),
        output_scale=scale_struct(operator, real, _LARGEST * _LARGEST),
    )
    return [_step(operator, "swr_multiply", operation)]


def extreme(operator: Operator) -> list[Step]:
    """MAXIMUM and MINIMUM."""
    operands = {name: _operands(operator)[name] for name in ("broadcast", "first", "second")}
    operation = Struct.of("SwrExtreme", **operands, smaller=int(operator.name == "MINIMUM"))
    return [_step(operator, "swr_take_extreme", operation)]


def logistic(operator: Operator) -> list[Step]:
    """LOGISTIC, by a table that is computed when it runs: as a constant it would be 256 bytes."""
    source = operator.activation(0)
    multiplier, shift = fixed_point(source.scale * 2.0**_LOGISTIC_BITS)
    if shift < 0:
        raise operator.refusal(f"its input's scale of {source.scale} vanishes. Train again.")
    reach = ((1 << 31 - _LOGISTIC_BITS) - 1) * 2.0**_LOGISTIC_BITS / 2.0**shift
    operation = Struct.of(
        "SwrLogistic",
        count=source.size,
        scale=Struct.of("SwrScale", multiplier=multiplier, shift=shift),
        radius=min(math.floor(reach), 256),
        input_zero_point=source.zero_point,
    )
    scratch = _TABLE_BYTES
    return [Step("swr_logistic", operation, (source,), operator.output, scratch, in_place=(0,))]


def unary(operator: Operator) -> list[Step]:
    """Any function of one value, as a table of what TFLite Micro computes."""
    source = operator.activation(0)
    values = np.arange(256, dtype=np.uint8).view(np.int8)
    table = Array.of("int8_t", _evaluated(operator, values))
    operation = Struct.of("SwrTable", table=table, count=source.size)
    return [Step("swr_look_up", operation, (source,), operator.output, in_place=(0,))]


def _evaluated(operator, values):
    """Runs a model of this operator alone."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    model.operatorCodes = [operator.code]
    model.buffers = [schema.BufferT()]
    model.subgraphs = [graph]
    graph.tensors = []
    for tensor in (operator.activation(0), operator.output):
        graph.tensors.append(schema.TensorT())
        graph.tensors[-1].shape = np.asarray([1, len(values)], np.int32)
        graph.tensors[-1].type = schema.TensorType.INT8
        graph.tensors[-1].quantization = schema.QuantizationParametersT()
        graph.tensors[-1].quantization.scale = tensor.scales
        graph.tensors[-1].quantization.zeroPoint = tensor.zero_points
    only = copy.copy(operator.source)
    only.opcodeIndex, only.inputs, only.outputs = 0, [0], [1]
    graph.operators, graph.inputs, graph.outputs = [only], [0], [1]
    lone = LiteModel(parse(to_file(model)), engine="tflm")
    return lone.predict_int8(values[np.newaxis])[0]


def _operands(operator):
    first, second, output = operator.operand(0), operator.operand(1), operator.output
    fields = {} if operator.name in ("MAXIMUM", "MINIMUM") else limits(operator)
    return {
        "broadcast": _broadcast(operator),
        "first": _constant(first),
        "second": _constant(second),
        "first_zero_point": first.zero_point,
        "second_zero_point": second.zero_point,
        "output_zero_point": output.zero_point,
        **fields,
    }


def _constant(tensor):
    return None if tensor.values is None else Array.of("int8_t", tensor.values.ravel())


def _broadcast(operator):
    """Merges axes along which both operands go on alike, then counts the others."""
    shape = operator.output.shape
    views = [
        np.broadcast_to(np.empty(operator.operand(index).shape, np.int8), shape)
        for index in range(2)
    ]
    axes = merged_axes(shape, [view.strides for view in views])
    sizes, firsts, seconds = padded(axes, _AXES)
    return Struct.of("SwrBroadcast", sizes=sizes, first_strides=firsts, second_strides=seconds)


def _step(operator, kernel, operation, scratch_bytes=0):
    operands = [operator.operand(0), operator.operand(1)]
    if all(operand.values is not None for operand in operands):
        raise operator.refusal("its inputs are constants. Fold it before the conversion.")
    # A constant's place among the inputs is kept by what else is read.
    reads = [operand for operand in operands if operand.values is None]
    order = tuple(operand if operand.values is None else reads[0] for operand in operands)
    return Step(
        kernel,
        operation,
        order,
        operator.output,
        scratch_bytes,
        in_place=tuple(
            index
            for index, operand in enumerate(operands)
            if operand.values is None and operand.size == operator.output.size
        ),
    )
