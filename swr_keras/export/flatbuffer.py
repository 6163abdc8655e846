"""What a `.tflite` file contains: operators and tensors, read by LiteRT's schema."""

import dataclasses
import math
import os
import pathlib
import struct
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.errors import ExportError
from swr_keras.export.probe import check_foreign

_OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_ERRORS = (AttributeError, IndexError, KeyError, TypeError, UnicodeDecodeError, struct.error)
"""What reading a damaged file leads to."""
_WIDEST_BYTES = 8
_BOOKKEEPING_BYTES = 65536


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
    """An operator of a `.tflite` file: its name in the schema, what it reads and writes."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class FlatBuffer:
    """Contents of a `.tflite` file.

    Attributes:
        data: The bytes themselves.
        inputs, outputs: Those of the main graph.
        tensors, operators: Those of all graphs, operators in order of execution.
        arena_limit_bytes: Memory that is surely enough for TFLite Micro.
    """

    data: bytes = dataclasses.field(repr=False)
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]

    @property
    def arena_limit_bytes(self) -> int:
        activations = sum(_WIDEST_BYTES * math.prod(tensor.shape) for tensor in self.tensors)
        return activations + _BOOKKEEPING_BYTES * (1 + len(self.tensors))


def read_model(model: Any) -> FlatBuffer:
    """Returns what a `.tflite` model contains, parsed once.

    Args:
        model: What `convert_int8` returned, its `contents`, or the contents or path of a file,
            which is first run in a process of its own, see `check_foreign`.

    Raises:
        ExportError: If it isn't a complete, valid `.tflite` file, or breaks what runs it.
        FileNotFoundError: If there is no such file.
    """
    model = getattr(model, "contents", model)
    if isinstance(model, FlatBuffer):
        return model
    if isinstance(model, str | os.PathLike):
        model = pathlib.Path(model).read_bytes()
    check_foreign(bytes(model))
    return parse(bytes(model))


def parse(data: bytes) -> FlatBuffer:
    """Reads the operators, in order of execution, and tensors of a model that was made here."""
    try:
        model = as_object(data)
        graphs = [_read_graph(model, graph, data) for graph in _listed(model.subgraphs)]
        main = graphs[0]
    except _ERRORS as error:
        raise ExportError(
            f"Expected the contents of a .tflite file. Received: {len(data)} bytes whose tables "
            f"don't fit together ({type(error).__name__}: {error}). Export the model again."
        ) from error
    return dataclasses.replace(
        main,
        tensors=tuple(tensor for graph in graphs for tensor in graph.tensors),
        operators=tuple(operator for graph in graphs for operator in graph.operators),
    )


def as_object(data: bytes) -> schema.ModelT:
    """Returns the schema's object of a model that was made here, to change it."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def _read_graph(model, graph, data):
    tensors = [_read_tensor(i, tensor) for i, tensor in enumerate(_listed(graph.tensors))]

    def select(indices):
        return tuple(tensors[i] for i in _listed(indices) if i >= 0)

    return FlatBuffer(
        data=data,
        inputs=select(graph.inputs),
        outputs=select(graph.outputs),
        tensors=tuple(tensors),
        operators=tuple(
            Operator(
                operator_name(model.operatorCodes[op.opcodeIndex]),
                select(op.inputs),
                select(op.outputs),
            )
            for op in _listed(graph.operators)
        ),
    )


def _read_tensor(index, tensor):
    scales = _listed(tensor.quantization.scale) if tensor.quantization else []
    return Tensor(
        name=(tensor.name or b"").decode() or f"tensor {index}",
        dtype=_TYPE_NAMES[tensor.type],
        shape=tuple(int(size) for size in _listed(tensor.shape)),
        is_dynamic=-1 in _listed(tensor.shapeSignature),
        scale=float(scales[0]) if len(scales) == 1 else None,
    )


def _listed(field):
    return [] if field is None else list(field)


def operator_name(code: schema.OperatorCodeT) -> str:
    """Returns the name of an operator in the schema."""
    # Files older than the 128th operator have the deprecated field alone.
    name = _OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM {code.customCode.decode()}" if name == "CUSTOM" else name
