"""Constants of the object of a `.tflite` model that was made here: found, read and set."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.flatbuffer import operator_name

WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_BIAS_LIMIT = 2**15 - 1
_INT32_LIMIT = 2**31 - 1


def operator_names(model: schema.ModelT) -> list[str]:
    """Returns the names of a model's operators, in order of execution."""
    codes = model.operatorCodes
    return [operator_name(codes[operator.opcodeIndex]) for operator in model.subgraphs[0].operators]


def read_biases(model: schema.ModelT) -> dict[int, tuple[int, ...]]:
    """Returns what operators with a bias read, by number: the tensors of input, kernel and bias."""
    found = {}
    for number, (name, operator) in enumerate(
        zip(operator_names(model), model.subgraphs[0].operators, strict=True)
    ):
        if name in WITH_BIAS:
            # A transposed convolution reads the shape of its output first, and the input third.
            order = (2, 1, 3) if name == "TRANSPOSE_CONV" else (0, 1, 2)
            inputs = [*operator.inputs, -1]
            if len(operator.inputs) >= max(order) and inputs[order[-1]] >= 0:
                found[number] = tuple(inputs[place] for place in order)
    return found


def is_constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    """Whether the file has the values of a tensor."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def read_integers(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """Returns the values of an int32 constant."""
    return np.frombuffer(bytes(bytearray(model.buffers[tensor.buffer].data)), "<i4")


def set_constant(model: schema.ModelT, tensor: schema.TensorT, values: np.ndarray) -> None:
    """Gives a constant other values, and none to others that had the same."""
    if sum(other.buffer == tensor.buffer for other in model.subgraphs[0].tensors) > 1:
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def set_bias(model: schema.ModelT, bias: schema.TensorT, values: np.ndarray) -> None:
    """Sets a bias, rounded to multiples of the least power of 2 with which it fits into 16 bits.

    Args:
        model: The object of the file.
        bias: Its int32 tensor.
        values: Real values on the scale of the bias, `(channels,)`.
    """
    step = bias_step(values)
    rounded = np.clip(np.rint(values / step) * step, -_INT32_LIMIT, _INT32_LIMIT)
    set_constant(model, bias, rounded.astype("<i4"))


def bias_step(values: np.ndarray) -> float:
    """Returns the least power of 2, at least 1, of which 16 bits count up to all of `values`."""
    return 2.0 ** max(0, np.ceil(np.log2(max(np.abs(values).max(), 1.0) / _BIAS_LIMIT)))
