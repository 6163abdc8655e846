"""A Keras model as a flat list of calls on symbolic tensors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, tree

from swr_keras.layers import conversion

_TRAINING_ONLY = (
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
)


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer or operation; tensors are identified by `id`.

    Attributes:
        operation: Layer, `keras.Operation` or function of tensors.
        args: Positional arguments, a structure with symbolic tensors as leaves.
        kwargs: Keyword arguments, likewise.
        output: Structure of symbolic tensors that the call defines.
    """

    operation: Callable[..., Any]
    args: tuple
    kwargs: dict[str, Any]
    output: Any


@dataclasses.dataclass(frozen=True)
class Graph:
    """Inputs, calls in an order that can be executed, and outputs of a model."""

    inputs: Any
    calls: list[Call]
    outputs: Any


def trace(model: keras.Model) -> Graph:
    """Lists the calls of a copy of a model, with nested models flattened.

    Layers that do nothing at inference are left out, and layers of a mixed precision compute in
    float32. The model itself isn't touched: the layers in the calls are copies.

    Args:
        model: A Functional or built Sequential model.

    Returns:
        A `Graph` whose tensors have batch 1.

    Raises:
        ValueError: If the model or a model in it is neither Functional nor Sequential, isn't
            built, has an input of unknown size, or calls a layer with `training=True`.
    """
    graph = _without_identities(_trace(copy_model(model)))
    _make_names_unique(graph.calls)
    return graph


def copy_model(model: keras.Model) -> keras.Model:
    """Copies a Functional or built Sequential model with its weights, not compiled."""
    _check_functional(model)
    return conversion.copy_model(model)


def static_inputs(structure: Any) -> Any:
    """Makes inputs with batch 1 and the same names for a structure of symbolic tensors."""
    return tree.map_structure(
        lambda tensor: keras.Input(
            batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name
        ),
        structure,
    )


def substitute(structure: Any, values: dict[int, Any]) -> Any:
    """Replaces each leaf whose `id` is a key of `values`."""
    return tree.map_structure(lambda leaf: values.get(id(leaf), leaf), structure)


def bind(values: dict[int, Any], symbols: Any, results: Any) -> None:
    """Records `results` as the values of equally many symbolic tensors."""
    for symbol, result in zip(tree.flatten(symbols), tree.flatten(results), strict=True):
        values[id(symbol)] = result


def _check_functional(model):
    if not isinstance(model, keras.Model) or getattr(model, "inputs", None) is None:
        raise ValueError(
            "Only built Functional and Sequential models, whose graph of layers is known, can be "
            f"exported. Received: {model!r} of type {type(model).__name__}. Build a Sequential "
            "model (call it once), call `merge()` of a task model, or rewrite a subclassed model "
            "with `keras.Model(inputs, outputs)`."
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                "A microcontroller needs fixed sizes. Received: model "
                f"'{model.name}' with input shape {tensor.shape}. Rebuild it with every size but "
                "the batch given and copy the weights with `set_weights`."
            )


def _trace(model):
    _check_functional(model)
    calls: list[Call] = []
    values: dict[int, keras.KerasTensor] = {}

    def record(operation, *args, **kwargs):
        if kwargs.get("training"):
            raise ValueError(
                f"Layer '{operation.name}' is called with training=True, which an exported model "
                "can't do. Rebuild the model without it."
            )
        if getattr(operation, "dtype_policy", None) and operation.dtype_policy.name.startswith(
            "mixed_"
        ):
            operation.dtype_policy = "float32"
        output = operation(*args, **kwargs)
        if isinstance(operation, keras.Model):
            inner = _trace(operation)
            calls.append(Call(_identity, tuple(tree.flatten(args)), {}, inner.inputs))
            calls.extend(inner.calls)
            calls.append(Call(_identity, tuple(tree.flatten(inner.outputs)), {}, output))
        else:
            calls.append(Call(operation, args, kwargs, output))
        return output

    if isinstance(model, keras.Sequential):
        inputs = outputs = static_inputs(model.inputs[0])
        for layer in model.layers:
            outputs = record(layer, outputs)
    else:
        clone = keras.models.clone_model(
            model,
            input_tensors=static_inputs(model.input),
            clone_function=lambda layer: layer,
            call_function=record,
        )
        inputs, outputs = clone.input, clone.output
    return Graph(inputs, calls, substitute(outputs, values))


def _identity(*tensors):
    return tensors


def _without_identities(graph):
    calls: list[Call] = []
    values: dict[int, keras.KerasTensor] = {}
    for call in graph.calls:
        args, kwargs = substitute((call.args, call.kwargs), values)
        if call.operation is _identity or isinstance(call.operation, _TRAINING_ONLY):
            bind(values, call.output, args)
        else:
            calls.append(Call(call.operation, args, kwargs, call.output))
    return Graph(graph.inputs, calls, substitute(graph.outputs, values))


def _make_names_unique(calls):
    owners: dict[str, keras.Operation] = {}
    for operation in (call.operation for call in calls):
        name, suffix = operation.name, 0
        while owners.setdefault(operation.name, operation) is not operation:
            suffix += 1
            operation.name = f"{name}_{suffix}"
