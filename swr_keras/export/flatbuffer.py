"""What a `.tflite` file contains: operators and tensors, read by LiteRT's schema."""

import dataclasses
import math

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

_OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_WIDEST_BYTES = 8
_BOOKKEEPING_BYTES = 65536


class ExportError(ValueError):
    """A model that can't run, or can't be shown to run rightly, on a microcontroller."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a `.tflite` file.

    Attributes:
        name: Name given by the converter.
        dtype: Lower-case name of the type in the schema, such as `"int8"`.
        shape: Static shape.
        is_dynamic: Whether a size was unknown to the converter.
        scale: Step of the int8 grid, `None` without one for the whole tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_dynamic: bool
    scale: float | None


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator of a `.tflite` file: its name in the schema and the tensors it writes."""

    name: str
    outputs: tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class FlatBuffer:
    """Contents of a `.tflite` file.

    Attributes:
        inputs, outputs: Those of the main graph.
        tensors, operators: Those of all graphs, operators in order of execution.
        arena_limit_bytes: Memory that is surely enough for TFLite Micro.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]

    @property
    def arena_limit_bytes(self) -> int:
        activations = sum(_WIDEST_BYTES * math.prod(tensor.shape) for tensor in self.tensors)
        return activations + _BOOKKEEPING_BYTES * (1 + len(self.tensors))


def read_flatbuffer(data: bytes) -> FlatBuffer:
    """Reads the operators, in order of execution, and tensors of a model.

    Args:
        data: Contents of a `.tflite` file.

    Raises:
        ExportError: If `data` isn't a complete, valid `.tflite` file.
    """
    try:
        Interpreter(model_content=bytes(data))
    except ValueError as error:
        raise ExportError(
            f"Expected the contents of a .tflite file. Received: {len(data)} bytes that LiteRT "
            f"refuses ({error}). The file may be cut short; export it again."
        ) from error
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graphs = [_read_graph(model, graph) for graph in _listed(model.subgraphs)]
    return dataclasses.replace(
        graphs[0],
        tensors=tuple(tensor for graph in graphs for tensor in graph.tensors),
        operators=tuple(operator for graph in graphs for operator in graph.operators),
    )


def _read_graph(model, graph):
    tensors = [_read_tensor(tensor) for tensor in _listed(graph.tensors)]

    def select(indices):
        return tuple(tensors[i] for i in _listed(indices) if i >= 0)

    return FlatBuffer(
        inputs=select(graph.inputs),
        outputs=select(graph.outputs),
        tensors=tuple(tensors),
        operators=tuple(
            Operator(_operator_name(model.operatorCodes[op.opcodeIndex]), select(op.outputs))
            for op in _listed(graph.operators)
        ),
    )


def _read_tensor(tensor):
    scales = _listed(tensor.quantization.scale) if tensor.quantization else []
    return Tensor(
        name=tensor.name.decode(),
        dtype=_TYPE_NAMES[tensor.type],
        shape=tuple(int(size) for size in _listed(tensor.shape)),
        is_dynamic=-1 in _listed(tensor.shapeSignature),
        scale=float(scales[0]) if len(scales) == 1 else None,
    )


def _listed(field):
    return [] if field is None else list(field)


def _operator_name(code):
    # Files older than the 128th operator have the deprecated field alone.
    name = _OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM {code.customCode.decode()}" if name == "CUSTOM" else name
