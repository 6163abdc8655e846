"""Numbers of an int8 model in as few bits as they need, so that tables of tasks are small."""

import numpy as np

from swr_keras.export.constants import (
    is_constant,
    operator_names,
    read_biases,
    read_integers,
    set_bias,
)
from swr_keras.export.flatbuffer import as_object
from swr_keras.export.flatbuffer_nodes import to_file

_WITH_KERNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_BITS = 11


def compact(data: bytes) -> bytes:
    """Returns a model whose channels take four bytes: 16 bits of scale and 16 bits of bias.

    The scales of kernels are rounded to 11 significant bits, at most one part in 4,096, which is
    far below the rounding of activations; biases as `constants.set_bias` says. The kernels stay.

    Args:
        data: Contents of a `.tflite` file of one graph that was made here.
    """
    model = as_object(data)
    if len(model.subgraphs) > 1:
        return data
    tensors = model.subgraphs[0].tensors
    change = {number: _round_scales(tensors[number]) for number in _kernels(model)}
    done = set()
    for read_from, kernel, bias in read_biases(model).values():
        if kernel in change and bias not in done:
            done.add(bias)
            tensor = tensors[bias]
            set_bias(model, tensor, read_integers(model, tensor) * change[kernel])
            scale = np.float32(tensors[read_from].quantization.scale[0])
            tensor.quantization.scale = scale * tensors[kernel].quantization.scale
    return to_file(model)


def rounded_scales(scales: np.ndarray) -> np.ndarray:
    """Rounds scales to 11 significant bits, float32."""
    mantissas, exponents = np.frexp(np.float64(scales))
    rounded = np.ldexp(np.rint(np.ldexp(mantissas, _BITS)), exponents - _BITS)
    return np.asarray(rounded, np.float32)


def _kernels(model):
    """Numbers of the constant kernels."""
    graph = model.subgraphs[0]
    found = {
        operator.inputs[1]
        for name, operator in zip(operator_names(model), graph.operators, strict=True)
        if name in _WITH_KERNEL
    }
    return [number for number in found if is_constant(model, graph.tensors[number])]


def _round_scales(kernel):
    """Rounds the scales of a kernel; returns what its biases have to be multiplied by."""
    before = np.asarray(kernel.quantization.scale, np.float32)
    after = rounded_scales(before)
    kernel.quantization.scale = after
    return np.float64(before) / after
