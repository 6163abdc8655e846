"""Activation scales of an int8 model, set anew: those of the base, for a task of it."""

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.constants import (
    WITH_BIAS,
    bias_step,
    is_constant,
    operator_names,
    read_biases,
    read_integers,
    set_bias,
    set_constant,
)
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import as_object
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.export.trunk import unchanged_operators

_ANY_OUTPUT = (*WITH_BIAS, "ADD", "SUB", "MUL", "MEAN", "HARD_SWISH", "LEAKY_RELU", "PRELU")
_NEAR_ZERO = 0.05
_FIXED_OUTPUT = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")


@dataclasses.dataclass(frozen=True)
class Scale:
    """An int8 grid: real value = scale * (q - zero_point).

    Attributes:
        scale: Step, float32.
        zero_point: What stands for 0, -128 to 127.
    """

    scale: float
    zero_point: int

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value on it."""
        return self.real(-128), self.real(127)

    def real(self, q):
        """Returns the real value, or array of values, of int8 ones."""
        return self.scale * (q - self.zero_point)


def activation_scales(model: schema.ModelT) -> dict[tuple[int, ...], Scale]:
    """Returns the scales that may be set, by the activations that must have the same one.

    Activations are numbered in order of execution, the inputs first, since the numbers of tensors
    depend on which constants happen to be equal. Left out are those that an operator fixes, such
    as a softmax, those of outputs, and those that a constant must have, too.
    """
    graph = model.subgraphs[0]
    group = list(range(len(graph.tensors)))

    def leader(index):
        while group[index] != index:
            index = group[index]
        return index

    constants = (i for i, tensor in enumerate(graph.tensors) if is_constant(model, tensor))
    fixed = {*graph.outputs, *constants}
    for name, operator in zip(operator_names(model), graph.operators, strict=True):
        outputs = list(operator.outputs)
        if name in _FIXED_OUTPUT:
            fixed.update(outputs)
        elif name not in _ANY_OUTPUT:
            own = _scale_of(graph.tensors[outputs[0]])
            for index in (*outputs[1:], *operator.inputs):
                if index >= 0 and own is not None and _scale_of(graph.tensors[index]) == own:
                    group[leader(index)] = leader(outputs[0])
    groups: dict[int, list[int]] = {}
    for number, index in enumerate(activations(model)):
        groups.setdefault(leader(index), []).append(number)
    held = {leader(index) for index in fixed}
    scales = {first: _scale_of(graph.tensors[first]) for first in groups}
    return {
        tuple(members): scale
        for first, members in groups.items()
        if first not in held and (scale := scales[first]) is not None
    }


def activations(model: schema.ModelT) -> list[int]:
    """Returns the numbers of the tensors of activations, inputs first, in order of execution."""
    graph = model.subgraphs[0]
    return [*graph.inputs, *(index for op in graph.operators for index in op.outputs)]


def take_over(
    data: bytes, like: bytes, *, within: Sequence[float] = (math.inf,)
) -> Iterator[bytes]:
    """Gives a model the activation scales of another one, and its equal constants.

    Models of one base then have the same constants wherever a task changes nothing, so that a
    bundle has them once. What is computed before any constant that differs, the trunk, always gets
    the other model's scales, so that its bytes are the same. The scale of the output stays, and so
    do scales that an operator or a constant beyond the trunk must have, too, unless they suit.

    Args:
        data: Contents of a `.tflite` file that was made here.
        like: Those of a model of the same architecture, whatever the classes.
        within: Beyond the trunk, scales are taken whose range isn't wider by more than this
            factor, nor, at either end, narrower, 0 for none; a model for each factor.

    Yields:
        Contents of `.tflite` files.

    Raises:
        ExportError: If the architectures differ.
    """
    model, base = as_object(data), as_object(like)
    scales = activation_scales(base)
    before = activation_scales(model)
    if operator_names(model) != operator_names(base) or list(scales) != list(before):
        raise ExportError(
            "The activation scales of another model suit one of the same architecture alone. "
            "Received: models whose operators differ. Convert the base of the task for `like`; "
            "leave it out for a task that adds layers to its base."
        )
    trunk = unchanged_operators(model, base)
    forced = _read_or_written(model, trunk)
    for most in within:
        taken = {
            key: scale
            for key, scale in scales.items()
            if forced.issuperset(key) or _suits(scale, before[key], most)
        }
        changed = copy.deepcopy(model)
        set_scales(changed, taken)
        _take_over_biases(changed, base, before, trunk)
        yield to_file(changed)


def _read_or_written(model, operators):
    """Returns the numbers of the activations that some operators read or write."""
    graph = model.subgraphs[0]
    tensors = {
        index
        for number in operators
        for index in (*graph.operators[number].inputs, *graph.operators[number].outputs)
    }
    return {number for number, index in enumerate(activations(model)) if index in tensors}


def _suits(scale, own, within):
    """Whether a scale has the range of an own one, up to a factor; ends near 0 don't count."""
    if math.isinf(within):
        return True
    (low, high), (own_low, own_high) = scale.range, own.range
    span = own_high - own_low
    return (
        high - low <= within * span
        and max(own_high - within * high, low * within - own_low) <= _NEAR_ZERO * span
    )


def set_scales(model: schema.ModelT, scales: Mapping[tuple[int, ...], Scale]) -> None:
    """Sets the scales of activations, and of the biases that depend on them.

    Args:
        model: The object of a `.tflite` file; it is changed.
        scales: New scales by activations, of those that `activation_scales` gives.
    """
    graph = model.subgraphs[0]
    before = {index: _scale_of(tensor) for index, tensor in enumerate(graph.tensors)}
    tensors = activations(model)
    new = {tensors[n]: scale for members, scale in scales.items() for n in members}
    for index, scale in new.items():
        quantization = graph.tensors[index].quantization
        quantization.scale = np.array([scale.scale], np.float32)
        quantization.zeroPoint = np.array([scale.zero_point], np.int64)
    for read_from, kernel, bias in read_biases(model).values():
        if read_from in new:
            tensor, was, is_now = graph.tensors[bias], before[read_from].scale, new[read_from].scale
            set_bias(model, tensor, read_integers(model, tensor) * (was / is_now))
            channels = np.asarray(graph.tensors[kernel].quantization.scale)
            tensor.quantization.scale = np.float32(is_now) * channels


def _take_over_biases(model, base, before, trunk):
    """Biases that differ from the base's by what was rounded, as those of the trunk, are its."""
    tensors = activations(model)
    scale_before = {
        tensors[number]: scale.scale for members, scale in before.items() for number in members
    }
    graph, known_tensors = model.subgraphs[0], base.subgraphs[0].tensors
    biases, biases_of_base = read_biases(model), read_biases(base)
    for number in biases.keys() & biases_of_base.keys():  # A bias of zeros may be left out.
        read_from, _, bias = biases[number]
        own, known = graph.tensors[bias], known_tensors[biases_of_base[number][-1]]
        if not np.array_equal(own.quantization.scale, known.quantization.scale):
            continue
        ratio = scale_before.get(read_from, 0) / graph.tensors[read_from].quantization.scale[0]
        ours, theirs = (
            read_integers(each, of).astype(np.float64) for each, of in ((model, own), (base, known))
        )
        if number in trunk or np.abs(ours - theirs).max() <= 2 * (ratio + bias_step(theirs)):
            set_constant(model, own, read_integers(base, known))


def _scale_of(tensor):
    quantization = tensor.quantization
    if tensor.type != schema.TensorType.INT8 or quantization is None:
        return None
    if quantization.scale is None or len(quantization.scale) != 1:
        return None
    zero = 0 if quantization.zeroPoint is None else int(quantization.zeroPoint[0])
    return Scale(float(quantization.scale[0]), zero)
