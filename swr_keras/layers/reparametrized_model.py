"""What is in a reparametrized model: its gates, what is the task's, and what stays frozen."""

from collections.abc import Collection

import keras

from swr_keras.graph import walk
from swr_keras.layers.layer_kinds import is_batch_norm, is_convertible, is_plain
from swr_keras.layers.normalization import TaskNormalization
from swr_keras.layers.reparametrized import ReparametrizedLayer


def policy_layers(model: keras.Model) -> dict[str, ReparametrizedLayer]:
    """Returns the reparametrized layers of a model by path, in the order of the model."""
    return {path: layer for path, layer in walk(model) if isinstance(layer, ReparametrizedLayer)}


def gates(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the gates of a reparametrized model by the path of their layer."""
    found = {path: getattr(layer, "gate", None) for path, layer in walk(model)}
    return {path: gate for path, gate in found.items() if gate is not None}


def open_gates(model: keras.Model, paths: Collection[str], *, for_good: bool = True) -> None:
    """Opens the gates of the layers at these paths and closes all others.

    Args:
        model: What `reparametrize` returned.
        paths: Paths of layers, batch norm of mode `"owned"` among them.
        for_good: Whether batch norm computes only what its gate says; else gates can be drawn at
            each call.
    """
    for path, layer in walk(model):
        is_open = path in paths
        if isinstance(layer, ReparametrizedLayer):
            layer.gate.assign(float(is_open))
            for delta in layer.delta.values():
                delta.trainable = is_open
        elif getattr(layer, "mode", None) == "owned":
            layer.decide(is_open, for_good=for_good)


def task_variables(
    model: keras.Model, head: str, open_layers: Collection[str]
) -> dict[str, keras.Variable]:
    """Returns every variable of a reparametrized model that is the task's, by layer path and name.

    These are the deltas of open layers, the head, the layers of an extension, and what the batch
    norm mode leaves to the task.

    Args:
        model: What `reparametrize` returned.
        head: Path of its new head.
        open_layers: Paths of the layers whose gate is open.
    """
    variables: dict[str, keras.Variable] = {}
    for path, layer in walk(model):
        if path == head or is_plain(layer):
            own = {variable.name: variable for variable in layer.weights}
        elif isinstance(layer, TaskNormalization):
            own = layer.task_variables()
        elif path in open_layers:
            own = {f"{name}_delta": delta for name, delta in layer.delta.items()}
        else:
            own = {}
        variables |= {f"{path}/{name}": variable for name, variable in own.items()}
    return variables


def frozen_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns the layers of a reparametrized model that have weights but no delta, by path.

    These are of classes that `reparametrize` doesn't know; batch norm and what is the task's in
    whole, the head and the layers of an extension, aren't listed.
    """
    return {
        path: layer
        for path, layer in walk(model)
        if layer.weights and not is_batch_norm(layer) and not is_convertible(layer)
    }
