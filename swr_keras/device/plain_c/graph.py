"""A `.tflite` model of one graph, as its operators and their tensors."""

import dataclasses
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import operator_name

_DTYPES: dict[int, Any] = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.FLOAT32: np.float32,
}
_MAX_RANK = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor: a constant, or a value of the graph.

    Attributes:
        number: Its index in the graph.
        name: What messages call it.
        shape: Its shape.
        is_int8: Whether it is int8.
        scales, zero_points: Its quantization, empty without one.
        values: Its values if it is a constant.
    """

    number: int
    name: str
    shape: tuple[int, ...]
    is_int8: bool
    scales: np.ndarray
    zero_points: np.ndarray
    values: np.ndarray | None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def scale(self) -> float:
        """The scale of the whole tensor, a float32 in a float."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        return int(self.zero_points[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
    """An operator.

    Attributes:
        name: Its name in the schema.
        inputs, outputs: What it reads and writes; `None` for an input it does without.
        source: The schema's object of it.
        code: The schema's object of its kind.
    """

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    source: Any
    code: Any

    @property
    def options(self) -> Any:
        return self.source.builtinOptions

    def refusal(self, reason: str) -> ExportError:
        """Returns an error that names the operator and what it writes."""
        written = ", ".join(f"'{tensor.name}'" for tensor in self.outputs)
        return ExportError(f"{self.name} (writes {written}) can't become C: {reason}")

    def activation(self, index: int) -> Tensor:
        """Returns an input, which must be an int8 value of the graph."""
        tensor = self.operand(index)
        if tensor.values is not None:
            raise self.refusal(f"its input {index} is a constant. Fold it before the conversion.")
        return tensor

    def operand(self, index: int) -> Tensor:
        """Returns an input, which must be an int8 value or constant."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None or not tensor.is_int8 or not len(tensor.scales):
            raise self.refusal(f"its input {index} is no int8 tensor. Convert to int8 alone.")
        return tensor

    def constant(self, index: int) -> np.ndarray:
        """Returns the values of an input, which must be a constant."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None or tensor.values is None:
            raise self.refusal(f"its input {index} is no constant. Use a layer with fixed weights.")
        return tensor.values

    @property
    def output(self) -> Tensor:
        return self.outputs[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """The operators of a model in order of execution, its input and its output."""

    operators: tuple[Operator, ...]
    input: Tensor
    output: Tensor


def read_graph(model: schema.ModelT) -> Graph:
    """Returns the graph of a model.

    Raises:
        ExportError: If it has several graphs, inputs or outputs, or others than int8.
    """
    if len(model.subgraphs) != 1:
        raise ExportError(
            "C is made of models of one graph, without loops and conditions. Received: one with "
            f"{len(model.subgraphs)} graphs."
        )
    graph = model.subgraphs[0]
    tensors = [_read_tensor(model, i, tensor) for i, tensor in enumerate(graph.tensors)]
    operators = tuple(_read_operator(model, source, tensors) for source in graph.operators)
    ends = []
    for kind, numbers in (("input", graph.inputs), ("output", graph.outputs)):
        found = [tensors[number] for number in numbers]
        if len(found) != 1 or not found[0].is_int8 or not len(found[0].scales):
            names = [tensor.name for tensor in found]
            raise ExportError(f"Expected one int8 {kind}. Received: {names}.")
        ends.append(found[0])
    return Graph(operators, *ends)


def _read_operator(model, source, tensors):
    code = model.operatorCodes[source.opcodeIndex]
    operator = Operator(
        name=operator_name(code),
        inputs=tuple(None if number < 0 else tensors[number] for number in source.inputs),
        outputs=tuple(tensors[number] for number in source.outputs),
        source=source,
        code=code,
    )
    for tensor in operator.outputs:
        if not tensor.is_int8 or not len(tensor.scales):
            raise operator.refusal(f"'{tensor.name}' is no int8 tensor. Convert to int8 alone.")
    for tensor in filter(None, (*operator.inputs, *operator.outputs)):
        if len(tensor.shape) > _MAX_RANK:
            raise operator.refusal(
                f"'{tensor.name}' has more than {_MAX_RANK} axes. Merge some by a reshape."
            )
        if tensor.is_int8 and 0 in tensor.shape:
            raise operator.refusal(f"'{tensor.name}' is empty, of shape {tensor.shape}.")
    return operator


def _read_tensor(model, number, tensor):
    quantization = tensor.quantization
    scales = quantization.scale if quantization is not None else None
    zeros = quantization.zeroPoint if quantization is not None else None
    data = model.buffers[tensor.buffer].data
    shape = tuple(int(size) for size in (() if tensor.shape is None else tensor.shape))
    values = None
    if data is not None and len(data) and tensor.type in _DTYPES:
        values = np.frombuffer(bytes(bytearray(data)), _DTYPES[tensor.type]).reshape(shape)
    found = Tensor(
        number=number,
        name=(tensor.name or b"").decode() or f"tensor {number}",
        shape=shape,
        is_int8=tensor.type == schema.TensorType.INT8,
        scales=np.asarray([] if scales is None else scales, np.float32),
        zero_points=np.asarray([] if zeros is None else zeros, np.int64),
        values=values,
    )
    if found.is_int8:
        _check_grid(found)
    return found


def _check_grid(tensor):
    # Kernels have scales of 0 where all weights of a channel are 0.
    positive = tensor.scales >= 0 if tensor.values is not None else tensor.scales > 0
    if not (np.isfinite(tensor.scales) & positive).all():
        raise ExportError(f"'{tensor.name}' has a scale that is none: {tensor.scales}.")
    if ((tensor.zero_points < -128) | (tensor.zero_points > 127)).any():
        raise ExportError(f"'{tensor.name}' has zero points beyond int8: {tensor.zero_points}.")
    if len(tensor.zero_points) not in (0, len(tensor.scales)):
        raise ExportError(f"'{tensor.name}' has zero points and scales of different numbers.")
