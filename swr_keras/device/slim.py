"""A `.tflite` model without what its execution doesn't need, and an ordinary one again."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.constants import read_biases
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import as_object


def slim(data: bytes) -> schema.ModelT:
    """Returns a model without names, metadata, unused buffers and what follows from the rest.

    Of quantization, the ranges that calibration saw go, and the scales of biases, which are those
    of input and kernel multiplied; TFLite Micro doesn't read them.

    Args:
        data: Contents of a `.tflite` file, which are trusted.

    Raises:
        ExportError: If it has several graphs, of which TFLite Micro runs the first alone.
    """
    model = as_object(data)
    if len(model.subgraphs) != 1:
        raise ExportError(
            "A bundle takes models of one graph, without loops and conditions. Received: one with "
            f"{len(model.subgraphs)} graphs."
        )
    model.description = model.metadata = model.metadataBuffer = model.signatureDefs = None
    graph = model.subgraphs[0]
    graph.name = None
    for operator in graph.operators:
        operator.mutatingVariableInputs = operator.intermediates = None
    for tensor, scales in _bias_scales(model):
        found = tensor.quantization
        if found is not None and np.array_equal(found.scale, scales) and not np.any(_zeros(found)):
            tensor.quantization = None
    for tensor in graph.tensors:
        tensor.name = tensor.shapeSignature = None
        found = tensor.quantization
        if found is not None:
            found.min = found.max = None
            if found.scale is None or not len(found.scale):
                tensor.quantization = None
    _keep_used_buffers(model)
    return model


def ordinary(model: schema.ModelT) -> schema.ModelT:
    """Returns a slim model with the scales of its biases and names of tensors put back."""
    for tensor, scales in _bias_scales(model):
        if tensor.quantization is None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"tensor_{index}".encode()
    return model


def _bias_scales(model):
    """Yields the biases of a model, with the float32 scales that follow from input and kernel."""
    tensors = model.subgraphs[0].tensors
    for numbers in read_biases(model).values():
        read_from, kernel, bias = (tensors[number] for number in numbers)
        if read_from.quantization is not None and kernel.quantization is not None:
            scale, scales = read_from.quantization.scale, kernel.quantization.scale
            if scale is not None and scales is not None and len(scale) == 1:
                yield bias, np.float32(scale[0]) * np.asarray(scales, np.float32)


def _zeros(quantization):
    return 0 if quantization.zeroPoint is None else quantization.zeroPoint


def _keep_used_buffers(model):
    """Leaves an empty buffer, as the schema asks, and each constant once."""
    buffers, numbers = [schema.BufferT()], {}
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            contents = bytes(bytearray(data))
            if contents not in numbers:
                numbers[contents] = len(buffers)
                buffers.append(schema.BufferT())
                buffers[-1].data = np.frombuffer(contents, np.uint8)
            tensor.buffer = numbers[contents]
    model.buffers = buffers
