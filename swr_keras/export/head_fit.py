"""The last layer of an int8 model, fitted to what the rounded layers before it give."""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.compact import rounded_scales
from swr_keras.export.constants import (
    is_constant,
    operator_names,
    read_biases,
    read_integers,
    set_bias,
    set_constant,
)
from swr_keras.export.flatbuffer import as_object
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.export.lite_model import LiteModel, litert_interpreter

_HEADS = ("CONV_2D", "FULLY_CONNECTED")
_RIDGES = (math.inf, 10.0, 1.0)
_MIN_EXAMPLES = 16


def fit_head(data: bytes, examples: np.ndarray, expected: np.ndarray) -> bytes:
    """Returns a model whose last layer makes up for part of the rounding before it.

    What rounding does to the features that the last layer reads is partly the same for all
    examples, or follows from the features: ridge regression on the difference to the float outputs
    finds it, with the penalty that errs least on the examples left out, so a change of the bias
    alone where more would be chance. The last layer is a task's own, so this takes no flash.

    Args:
        data: Contents of a `.tflite` file that was made here.
        examples: Features `(n, *input_shape[1:])`.
        expected: Outputs of the float model for them, `(n, *output_shape[1:])`.

    Returns:
        Contents of a `.tflite` file; those given, where the output isn't that of a dense layer
        with a bias and no activation, or there are fewer than 16 examples.
    """
    model = as_object(data)
    head = _find_head(model)
    if head is None or len(examples) < _MIN_EXAMPLES:
        return data
    read_from, kernel, bias = (model.subgraphs[0].tensors[number] for number in head)
    scale_in = read_from.quantization.scale[0]
    scales = np.asarray(kernel.quantization.scale, np.float64)
    features = scale_in * _read(data, head[0], examples, read_from.quantization.zeroPoint[0])
    columns = scales[:, np.newaxis] * _integers(model, kernel).reshape(-1, features.shape[1])
    offsets = scale_in * scales * read_integers(model, bias)
    left = expected.reshape(len(expected), -1) - (features @ columns.T + offsets)
    slopes, shifts = _ridge(features, left)
    _set_head(model, kernel, bias, scale_in, columns + slopes.T, offsets + shifts)
    return to_file(model)


def _find_head(model: schema.ModelT) -> tuple[int, ...] | None:
    """Tensors of input, kernel and bias of the dense layer that gives the output."""
    graph = model.subgraphs[0]
    if len(model.subgraphs) > 1:
        return None
    biases, output = read_biases(model), graph.outputs[0]
    for number, name in reversed(list(enumerate(operator_names(model)))):
        operator = graph.operators[number]
        if output not in operator.outputs:
            continue
        if name == "RESHAPE":
            output = operator.inputs[0]
        else:
            tensors = biases.get(number)
            return tensors if tensors and _is_dense(model, name, operator, tensors) else None
    return None


def _is_dense(model, name, operator, tensors):
    graph = model.subgraphs[0]
    read_from, kernel, bias = (graph.tensors[number] for number in tensors)
    read_once = sum(tensors[1] in other.inputs for other in graph.operators) == 1
    return (
        name in _HEADS
        and operator.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.NONE
        and math.prod(kernel.shape[1:]) == math.prod(read_from.shape)
        and len(kernel.quantization.scale) in (1, kernel.shape[0])
        and is_constant(model, kernel)
        and is_constant(model, bias)
        and read_once
    )


def _integers(model, kernel):
    return np.frombuffer(bytes(bytearray(model.buffers[kernel.buffer].data)), np.int8)


def _read(data, tensor, examples, zero_point):
    """The int8 values of an activation less their zero point, `(examples, values)`."""
    interpreter, _ = litert_interpreter(data, keep_activations=True)
    place = interpreter.get_input_details()[0]["index"]
    found = []
    for example in LiteModel(data).quantize(examples):
        interpreter.set_tensor(place, example[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(tensor).ravel())
    return np.asarray(found, np.float64) - zero_point


def _ridge(features, wanted):
    """The slopes and shifts that predict what is wanted, of the best penalty."""
    mean, aim = features.mean(axis=0), wanted.mean(axis=0)
    left, sizes, right = np.linalg.svd(features - mean, full_matrices=False)
    power = np.square(sizes).sum() / features.shape[1] or 1.0
    parts = left.T @ (wanted - aim)
    errors, found = [], []
    for ridge in _RIDGES:
        kept = np.square(sizes) / (np.square(sizes) + ridge * power)
        leverage = np.square(left) @ kept + 1 / len(features)
        rest = wanted - aim - left @ (kept[:, np.newaxis] * parts)
        errors.append(np.square(rest / (1 - leverage)[:, np.newaxis]).sum())
        inverse = np.where(kept > 0, kept / np.where(sizes > 0, sizes, 1.0), 0.0)
        found.append(right.T @ (inverse[:, np.newaxis] * parts))
    slopes = found[int(np.argmin(errors))]
    return slopes, aim - mean @ slopes


def _set_head(model, kernel, bias, scale_in, columns, offsets):
    """Quantizes a kernel `(outputs, inputs)` and the offsets of its outputs."""
    size = np.abs(columns).max(axis=1)
    if len(kernel.quantization.scale) == 1:
        size = np.full_like(size, size.max())
    scales = rounded_scales(np.where(size > 0, size, 1.0) / 127)
    q = np.clip(np.rint(columns / scales[:, np.newaxis]), -127, 127).astype(np.int8)
    number = len(kernel.quantization.scale)
    kernel.quantization.scale = scales[:number]
    set_constant(model, kernel, q)
    bias.quantization.scale = np.float32(scale_in) * scales[:number]
    set_bias(model, bias, offsets / (np.float64(scale_in) * scales))
