"""What an int8 model of a task has in common with that of its base: operators nothing changed."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from swr_keras.export.constants import bias_step, is_constant, read_biases, read_integers

_ROUNDINGS = 4


def unchanged_operators(model: schema.ModelT, base: schema.ModelT) -> list[int]:
    """Returns the numbers of the operators whose outputs depend on no constant that differs.

    Biases are rounded on a grid that depends on the scale of the input, so those count as equal
    that differ by no more than what was rounded.

    Args:
        model: The object of a `.tflite` file that was made here.
        base: That of one of the same architecture.
    """
    own, known = model.subgraphs[0], base.subgraphs[0]
    biases = {bias for _, _, bias in read_biases(model).values()}
    unchanged, found = set(own.inputs), []

    def is_unchanged(index, other):
        if min(index, other) < 0:
            return index == other
        pair = (model, own.tensors[index]), (base, known.tensors[other])
        if not all(is_constant(*each) for each in pair):
            return index in unchanged
        return _equal_biases(*pair) if index in biases else _equal(*pair)

    for number, (operator, other) in enumerate(zip(own.operators, known.operators, strict=True)):
        if len(operator.inputs) == len(other.inputs) and all(
            map(is_unchanged, operator.inputs, other.inputs)
        ):
            unchanged.update(operator.outputs)
            found.append(number)
    return found


def _equal(first, second):
    return all(
        np.array_equal(one, other)
        for one, other in zip(_contents(*first), _contents(*second), strict=True)
    )


def _contents(model, tensor):
    """All that the value of a constant depends on, besides its shape."""
    grid = tensor.quantization or schema.QuantizationParametersT()
    numbers = ([] if each is None else each for each in (grid.scale, grid.zeroPoint))
    return [tensor.type], model.buffers[tensor.buffer].data, *numbers


def _equal_biases(first, second):
    values, roundings = zip(*(_real_bias(*each) for each in (first, second)), strict=True)
    return values[0].shape == values[1].shape and bool(
        np.all(np.abs(values[0] - values[1]) <= _ROUNDINGS * sum(roundings))
    )


def _real_bias(model, tensor):
    """Returns a bias as real values, and what one step of its grid is of each."""
    integers, scale = read_integers(model, tensor), np.float64(tensor.quantization.scale)
    return integers * scale, bias_step(integers) * scale
