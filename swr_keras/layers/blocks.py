"""The blocks of a base: parts that take one tensor and give one."""

import dataclasses
import re
from collections.abc import Sequence

import keras

from swr_keras.graph import Call, Graph, symbolic

_NAME = re.compile(r"(.*?block_?\d+[a-z]?)_.+")
_HINT = "Say at whose outputs they begin and end by `blocks=`, such as ('relu0', 'add2', 'add4')."


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Calls of a model that take one tensor and give one.

    Attributes:
        name: Its name: what the names of its layers begin with, or that of its last layer.
        calls: Its calls, in an order that can be executed; the last one gives the output.
        input: The tensor that it takes.
        output: The tensor that it gives.
    """

    name: str
    calls: tuple[Call, ...]
    input: keras.KerasTensor
    output: keras.KerasTensor


def find_blocks(graph: Graph, ends: Sequence[str] = ()) -> list[Block]:
    """Returns the blocks of a model, in its order.

    Without `ends`, the layers named `<block>_<layer>` make up a block, where `<block>` ends in
    `block` and a number, as in the models of `backbones.bcresnet` and in the ResNets of
    `keras.applications`. If there are none, each residual sum that everything passes makes up a
    block, with what leads to it from the last point before that everything passes, and with an
    activation after it, as in those of `backbones.res15`.

    Args:
        graph: The calls of the model, see `graph.structure`.
        ends: Names of layers at whose outputs blocks begin and end, in order: n + 1 names for n
            blocks that follow one another.

    Raises:
        ValueError: If there are no blocks, a block takes or gives several tensors, or a name of
            `ends` is none of a layer called once, or out of order.
    """
    groups = _between(graph, ends) if ends else named_blocks(graph) or _residual(graph)
    if not groups:
        raise ValueError(
            "The model has no blocks: no layers named '<block>_<layer>' where <block> ends in "
            f"'block' and a number, and no residual sums. Received: {_paths(graph.calls)}. {_HINT}"
        )
    return [_block(graph, name, calls) for name, calls in groups.items()]


def named_blocks(graph: Graph) -> dict[str, list[Call]]:
    """Returns the calls of layers named `<block>_<layer>`, by block."""
    groups: dict[str, list[Call]] = {}
    for call in graph.calls:
        if match := _NAME.fullmatch(call.path):
            groups.setdefault(match[1], []).append(call)
    return groups


def _block(graph, name, calls):
    outputs = {id(tensor): tensor for call in calls for tensor in symbolic(call.output)}
    inputs = {id(tensor): tensor for call in calls for tensor in call.inputs}
    taken = [tensor for key, tensor in inputs.items() if key not in outputs]
    inside, users = {id(call) for call in calls}, graph.users()
    given = [
        tensor
        for key, tensor in outputs.items()
        if any(user is None or id(user) not in inside for user in users[key])
    ]
    if len(taken) != 1 or len(given) != 1 or given[0] not in symbolic(calls[-1].output):
        raise ValueError(
            f"A block takes one tensor and gives one. Received: block '{name}' of "
            f"{_paths(calls)}, which takes the outputs of {_producers(graph, taken)} and gives "
            f"those of {_producers(graph, given)}. {_HINT}"
        )
    return Block(name, tuple(calls), taken[0], given[0])


def _between(graph: Graph, ends: Sequence[str]) -> dict[str, list[Call]]:
    paths = _paths(graph.calls)
    wrong = [path for path in ends if paths.count(path) != 1]
    if wrong or isinstance(ends, str) or len(ends) < 2:
        raise ValueError(
            "`blocks` must name two or more layers that are called once. Received: "
            f"{ends!r}; the model has {paths}."
        )
    indices = [paths.index(path) for path in ends]
    if indices != sorted(set(indices)):
        raise ValueError(f"`blocks` must be in the order of the model. Received: {ends!r}.")
    pairs = zip(indices, indices[1:], strict=False)
    return {paths[end]: graph.calls[start + 1 : end + 1] for start, end in pairs}


def _residual(graph: Graph) -> dict[str, list[Call]]:
    passed, calls = _passed_by_all(graph), graph.calls
    groups, start = {}, 0
    for index, call in enumerate(calls):
        if index not in passed:
            continue
        end = index
        if type(call.operation).__name__ == "Add" and len(call.inputs) > 1:
            while end + 1 in passed and _only_activates(calls[end + 1]):
                end += 1
            groups[call.path] = calls[start : end + 1]
        start = max(start, end + 1)
    return groups


def _passed_by_all(graph: Graph) -> set[int]:
    """Returns the indices of calls whose output is all that later calls take."""
    last_use: dict[int, int] = {}
    for index, call in enumerate(graph.calls):
        last_use |= {id(tensor): index for tensor in call.inputs}
    last_use |= {id(tensor): len(graph.calls) for tensor in symbolic(graph.outputs)}
    live = {id(tensor) for tensor in symbolic(graph.inputs)}
    found = set()
    for index, call in enumerate(graph.calls):
        outputs = {id(tensor) for tensor in symbolic(call.output)}
        live = {key for key in live | outputs if last_use.get(key, -1) > index}
        if live == outputs and len(outputs) == 1:
            found.add(index)
    return found


def _only_activates(call):
    has_weights = bool(getattr(call.operation, "weights", ()))
    return not has_weights and call.inputs[0].shape == call.output.shape


def _producers(graph: Graph, tensors) -> list[str]:
    names = {id(tensor): tensor.name for tensor in symbolic(graph.inputs)}
    names |= {id(each): call.path for call in graph.calls for each in symbolic(call.output)}
    return [names[id(tensor)] for tensor in tensors]


def _paths(calls: Sequence[Call]) -> list[str]:
    return [call.path for call in calls]
