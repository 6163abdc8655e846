"""The head of a classifier, and what comes after it."""

import keras

from swr_keras.graph import structure, symbolic, walk
from swr_keras.layers.base import check_base
from swr_keras.layers.layer_kinds import NORMALIZATION, is_convertible


def find_head(base: keras.Model, head: str | None = None) -> str:
    """Returns the path of the layer that gives one output a class.

    Args:
        base: A Functional or Sequential model.
        head: Path of a Dense or convolution layer; by default the one that the output is computed
            from by nothing but batch norm and layers without weights.

    Raises:
        ValueError: If `base` is subclassed, not built or reparametrized already, if there is no
            such layer or several, or if it is of another class.
    """
    check_base(base)
    weighted = {path: layer for path, layer in walk(base) if layer.weights}
    if not weighted or (head is not None and head not in weighted):
        raise ValueError(
            f"`head` must name a layer with weights. Received: head={head!r}; model "
            f"'{base.name}' has {list(weighted)}."
        )
    found = [head] if head else _last_with_weights(base)
    if len(found) != 1:
        raise ValueError(
            f"The output of a classifier must come from one head. Received: '{base.name}', whose "
            f"output is computed from {found}. Name the one to train anew by `head=`, or "
            "rebuild the model with one."
        )
    (path,) = found
    layer = weighted[path]
    if not is_convertible(layer) or not (hasattr(layer, "units") or hasattr(layer, "filters")):
        raise ValueError(
            f"The head must be a Dense or convolution layer. Received: '{path}', a "
            f"{type(layer).__name__}. Name the head by `head=`."
        )
    return path


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


def _last_with_weights(model):
    """The paths of the last layers with weights, but for batch norm, on every way to the output."""
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
        if _has_weights(call.operation) and type(call.operation) not in NORMALIZATION:
            found[call.path] = True
        else:
            waiting.extend(call.inputs)
    return list(found)


def _has_weights(operation):
    """Whether an operation has weights that aren't the state of a random generator."""
    return any("seed_generator" not in v.path for v in getattr(operation, "weights", ()))
