"""The layers between a head and the output of its model."""

import keras

from swr_keras.graph import structure, symbolic


def last_with_weights(model: keras.Model, *, ignored: tuple[type, ...]) -> list[str]:
    """Returns the paths of the last layers with weights on every way to the first output.

    Args:
        model: A Functional or Sequential model.
        ignored: Classes of layers to look through although they have weights.
    """
    graph = structure(model)
    producers = {id(tensor): call for call in graph.calls for tensor in symbolic(call.output)}
    waiting = symbolic(graph.outputs)[:1]
    seen: set[int] = set()
    found: dict[str, bool] = {}
    while waiting:
        call = producers.get(id(waiting.pop()))
        if call is None or id(call) in seen:
            continue
        seen.add(id(call))
        if _has_weights(call.operation) and type(call.operation) not in ignored:
            found[call.path] = True
        else:
            waiting.extend(call.inputs)
    return list(found)


def _has_weights(operation):
    """Whether an operation has weights that aren't the state of a random generator."""
    return any("seed_generator" not in v.path for v in getattr(operation, "weights", ()))


def calls_after(model: keras.Model, path: str) -> list[str]:
    """Describes each call that takes, in the end, what the layer at a path computes."""
    reached: set[int] = set()
    found: list[str] = []
    for call in structure(model).calls:
        if call.path == path or any(id(tensor) in reached for tensor in call.inputs):
            reached.update(id(tensor) for tensor in symbolic(call.output))
            if call.path != path:
                found.append(f"'{call.path}' ({type(call.operation).__name__})")
    return found
