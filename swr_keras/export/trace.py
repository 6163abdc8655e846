"""The calls of a model at inference."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
from keras import layers

from swr_keras.graph import (
    Call,
    Graph,
    copy_model,
    defaults_to_training,
    inputs_like,
    is_graph,
    trace,
    walk,
)
from swr_keras.layers.routed_blocks import PER_EXAMPLE

_TRAINING_ONLY = (
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
)
# `RandomCrop` is none: at inference it resizes.
_AUGMENTATION = tuple(
    getattr(layers, name)
    for name in dir(layers)
    if name.startswith(("AugMix", "Rand")) and name != "RandomCrop"
)


def inference_graph(model: keras.Model) -> Graph:
    """Lists the calls of a copy of a model, with nested models flattened.

    Layers that do nothing at inference are left out, and layers of a mixed precision compute in
    float32. The model itself isn't touched: the layers in the calls are copies.

    Args:
        model: A Functional or built Sequential model.

    Returns:
        A `Graph` whose tensors have batch 1, and whose layers have unique names.

    Raises:
        ValueError: If the model or a model in it is neither Functional nor Sequential, isn't
            built, has an input of unknown size, or calls a layer with `training=True`.
    """
    check_exportable(model)
    copy = copy_model(model)
    for _, layer in walk(copy):
        if isinstance(layer, keras.Model):
            check_exportable(layer)
        if layer.dtype_policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"
    inputs = copy.inputs[0] if isinstance(copy, keras.Sequential) else copy.input
    graph = trace(copy, inputs_like(inputs))
    for call in graph.calls:
        if call.training:
            raise ValueError(
                f"Layer '{call.path}' is called with training=True, which an exported model "
                "can't do. Rebuild the model without it."
            )
    calls = [_at_inference(call) for call in graph.calls]
    graph = dataclasses.replace(graph, calls=calls).without(_is_identity)
    _make_names_unique(graph.calls)
    return graph


def _at_inference(call):
    """Turns off what a layer does by the default of its `training` argument."""
    if defaults_to_training(call.operation):
        return dataclasses.replace(call, kwargs={**call.kwargs, "training": False})
    return call


def _is_identity(call):
    if isinstance(call.operation, _AUGMENTATION):
        return call.args and call.args[0].dtype == call.output.dtype
    return isinstance(call.operation, _TRAINING_ONLY)


def check_exportable(model: keras.Model) -> None:
    """Raises ValueError unless `model` is a built graph of layers with every size known.

    What it computes must not depend on the example.
    """
    if not is_graph(model) or getattr(model, "inputs", None) is None:
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
    for path, layer in walk(model):
        if isinstance(layer, PER_EXAMPLE):
            raise ValueError(
                f"Layer '{path}', a {type(layer).__name__}, decides for each example what is "
                "computed, which TFLite Micro can't. Adapt the base by another method than "
                "SpotTune for a device."
            )


def _make_names_unique(calls: Iterable[Call]) -> None:
    owners: dict[str, Any] = {}
    operations: Iterable[Any] = (call.operation for call in calls)
    for operation in operations:
        name, suffix = operation.name, 0
        while owners.setdefault(operation.name, operation) is not operation:
            suffix += 1
            operation.name = f"{name}_{suffix}"
