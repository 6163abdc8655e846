"""From the operators of a model to the steps of a program."""

from collections.abc import Callable

from swr_keras.device.plain_c import convolutions, elementwise, movement, reductions
from swr_keras.device.plain_c.graph import Graph, Operator
from swr_keras.device.plain_c.steps import Alias, Step


def _alias(operator: Operator) -> list[Step | Alias]:
    return [Alias(operator.activation(0), operator.output)]


_LOWERINGS: dict[str, Callable[[Operator], list]] = {
    "ADD": elementwise.add,
    "SUB": elementwise.add,
    "MUL": elementwise.multiply,
    "MAXIMUM": elementwise.extreme,
    "MINIMUM": elementwise.extreme,
    "AVERAGE_POOL_2D": convolutions.pool,
    "MAX_POOL_2D": convolutions.pool,
    "CONV_2D": convolutions.convolution,
    "DEPTHWISE_CONV_2D": convolutions.depthwise,
    "FULLY_CONNECTED": convolutions.dense,
    "LOGISTIC": elementwise.logistic,
    "MEAN": reductions.total,
    "SUM": reductions.total,
    "REDUCE_MAX": reductions.largest,
    "REDUCE_MIN": reductions.largest,
    "SOFTMAX": reductions.softmax,
    "BROADCAST_TO": movement.broadcast_to,
    "CONCATENATION": movement.concatenate,
    "DEPTH_TO_SPACE": movement.depth_to_space,
    "PACK": movement.pack,
    "PAD": movement.pad,
    "PADV2": movement.pad,
    "RESIZE_NEAREST_NEIGHBOR": movement.resize_nearest,
    "REVERSE_V2": movement.reverse,
    "SLICE": movement.slice_,
    "SPACE_TO_DEPTH": movement.depth_to_space,
    "SPLIT": movement.split,
    "SPLIT_V": movement.split,
    "STRIDED_SLICE": movement.strided_slice,
    "TRANSPOSE": movement.transpose,
    "UNPACK": movement.unpack,
    **dict.fromkeys(("EXPAND_DIMS", "RESHAPE", "SQUEEZE"), _alias),
    **dict.fromkeys(
        "ABS HARD_SWISH LEAKY_RELU QUANTIZE RELU RELU6 RSQRT TANH".split(),
        elementwise.unary,
    ),
}
OPERATORS = frozenset(_LOWERINGS)
"""Names of the operators that can become C."""


def lower(graph: Graph) -> list[Step | Alias]:
    """Returns what computes a graph.

    Raises:
        ExportError: If an operator can't become C; names it and what it writes.
        ImportError: If there are functions of one value, whose tables TFLite Micro's kernels
            compute, and these aren't installed.
    """
    for operator in graph.operators:
        if operator.name not in OPERATORS:
            raise operator.refusal("there is no kernel for it. Replace the layer by another one.")
    steps = []
    for operator in graph.operators:
        try:
            steps.extend(_LOWERINGS[operator.name](operator))
        except OverflowError as error:
            raise operator.refusal(f"{error} Take a smaller model.") from error
    return steps
