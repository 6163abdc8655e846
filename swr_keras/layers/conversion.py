"""From a plain Keras model to reparametrized layers and back."""

import logging
import numbers
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from swr_keras.layers import normalization
from swr_keras.layers import reparametrized as swr

logger = logging.getLogger(__name__)

_REPARAMETRIZED: dict[Any, Any] = {
    keras.layers.Dense: swr.SWRDense,
    keras.layers.Conv1D: swr.SWRConv1D,
    keras.layers.Conv2D: swr.SWRConv2D,
    keras.layers.Conv3D: swr.SWRConv3D,
    keras.layers.Conv1DTranspose: swr.SWRConv1DTranspose,
    keras.layers.Conv2DTranspose: swr.SWRConv2DTranspose,
    keras.layers.Conv3DTranspose: swr.SWRConv3DTranspose,
    keras.layers.DepthwiseConv1D: swr.SWRDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: swr.SWRDepthwiseConv2D,
    keras.layers.SeparableConv1D: swr.SWRSeparableConv1D,
    keras.layers.SeparableConv2D: swr.SWRSeparableConv2D,
}
_NORMALIZATION: dict[Any, Any] = {
    keras.layers.BatchNormalization: normalization.SWRBatchNormalization,
    normalization.FusedBatchNormalization: normalization.SWRFusedBatchNormalization,
    normalization.SubSpectralNormalization: normalization.SWRSubSpectralNormalization,
}
_PLAIN = {swr_class: plain for plain, swr_class in (_REPARAMETRIZED | _NORMALIZATION).items()} | {
    normalization.SWRFusedBatchNormalization: keras.layers.BatchNormalization,
}


def walk(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yields `(path, layer)` for each layer of a model, once, nested models opened.

    A path joins the names of the nested models and the layer by `/`; it is unique in the model.
    """
    seen = set()
    for path, layer in _walk(model, prefix):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield path, layer


def _walk(model, prefix):
    for layer in model.layers:
        if _is_graph(layer):
            yield from _walk(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def _is_graph(layer):
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "inputs") and bool(layer.inputs)
    )


def policy_layers(model: keras.Model) -> dict[str, swr.ReparametrizedLayer]:
    """Returns the reparametrized layers of a model by path, in the order of the model."""
    return {
        path: layer for path, layer in walk(model) if isinstance(layer, swr.ReparametrizedLayer)
    }


def reparametrize(
    base: keras.Model,
    *,
    num_classes: int | None = None,
    head: str | None = None,
    batch_norm: str = "statistics",
) -> keras.Model:
    """Copies a model into layers that compute with `W + s * dW`; the base is not touched.

    Every Conv, DepthwiseConv, SeparableConv, ConvTranspose and Dense layer becomes its `SWR...`
    subclass, with the base's weights frozen, zero deltas and an open gate, so the copy gives the
    base's outputs bit for bit. Batch norm layers take `batch_norm` as their mode. Any other layer
    with weights stays frozen and is named in a log message (and by `frozen_layers`). Nested and
    shared layers stay nested and shared. Neither how the base was compiled nor what it says of
    `trainable` reaches the copy.

    Args:
        base: A built Functional or Sequential model.
        num_classes: If given, the head is replaced by a new, trainable one with so many outputs.
        head: Path of the head to replace, as for `find_head`; ignored without `num_classes`.
        batch_norm: `"statistics"`, `"affine"` or `"frozen"`, see `TaskNormalization`.

    Returns:
        A Functional or Sequential model.

    Raises:
        ValueError: If `base` is subclassed or not built, is reparametrized already, has no layer
            to convert or one that changes frozen weights, or if the head or `num_classes` is
            not one.
    """
    normalization.check_mode(batch_norm)
    _check_base(base)
    _check_num_classes(num_classes)
    new_head: Any = None
    if num_classes is not None:
        new_head = dict(walk(base))[find_head(base, head)]

    def convert(layer):
        # A base frozen by `trainable = False` says so in the configuration of each layer.
        config = {**layer.get_config(), "trainable": True}
        if layer is new_head:
            config["units" if "units" in config else "filters"] = num_classes
            return layer.from_config(_without_lora(config))
        if _is_convertible(layer):
            return _REPARAMETRIZED[type(layer)].from_config(_without_lora(config))
        if type(layer) in _NORMALIZATION:
            return _NORMALIZATION[type(layer)].from_config({**config, "mode": batch_norm})
        return _same(layer)

    def fill(source, target):
        if isinstance(target, swr.ReparametrizedLayer):
            for name, frozen in target.frozen.items():
                frozen.assign(getattr(source, name))
        elif source is not new_head:
            copy_weights(source, target)

    model = clone(base, convert, fill)
    if not policy_layers(model):
        raise ValueError(
            f"Model '{base.name}' has no layer that can be reparametrized (Dense or a convolution "
            f"besides the head). Its layers: {[path for path, _ in walk(base)]}."
        )
    unknown = frozen_layers(model)
    for layer in unknown.values():
        layer.trainable = False
    if unknown:
        logger.warning("These layers can't be reparametrized and stay frozen: %s", list(unknown))
    return model


def find_head(base: keras.Model, head: str | None = None) -> str:
    """Returns the path of the layer that gives one output a class.

    Args:
        base: A Functional or Sequential model.
        head: Path of a Dense or convolution layer; by default the last layer with weights.

    Raises:
        ValueError: If `base` is subclassed, not built or reparametrized already, if there is no
            such layer, or if it is of another class.
    """
    _check_base(base)
    weighted = {path: layer for path, layer in walk(base) if layer.weights}
    if not weighted or (head is not None and head not in weighted):
        raise ValueError(
            f"`head` must name a layer with weights. Received: head={head!r}; model "
            f"'{base.name}' has {list(weighted)}."
        )
    path = head or list(weighted)[-1]
    layer = weighted[path]
    if not _is_convertible(layer) or not (hasattr(layer, "units") or hasattr(layer, "filters")):
        raise ValueError(
            f"The head must be a Dense or convolution layer. Received: '{path}', a "
            f"{type(layer).__name__}. Name the head by `head=`."
        )
    return path


def frozen_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns the layers of a reparametrized model that have weights but no delta, by path.

    These are of classes that `reparametrize` doesn't know; the head and batch norm aren't listed.
    """
    known = (swr.ReparametrizedLayer, normalization.TaskNormalization)
    return {
        path: layer
        for path, layer in walk(model)
        if layer.weights and not isinstance(layer, known) and not _is_convertible(layer)
    }


def merge(model: keras.Model, *, check_on=None) -> keras.Model:
    """Folds `W + s * dW` into plain Keras layers: the architecture and cost of the base.

    Args:
        model: A model made of reparametrized layers; it is not touched.
        check_on: A batch of inputs. If given, the outputs of both models on it are compared.

    Returns:
        A new model, not compiled, of the classes the base was made of, except that
        `FusedBatchNormalization` becomes `keras.layers.BatchNormalization`
        (`SubSpectralNormalization` has no counterpart in Keras and stays). Outputs are equal
        within float32 rounding.

    Raises:
        ValueError: If the outputs differ by more than 0.01 % of their range, or aren't finite.
    """

    def convert(layer):
        config = layer.get_config()
        config.pop("mode", None)
        return _PLAIN[type(layer)].from_config(config) if type(layer) in _PLAIN else _same(layer)

    def fill(source, target):
        if isinstance(source, swr.ReparametrizedLayer):
            for name, value in source.merged_weights().items():
                variable = next(v for v in target.weights if v.name == name)
                variable.assign(value)
        else:
            copy_weights(source, target)

    merged = clone(model, convert, fill)
    if check_on is not None:
        _check_parity(model, merged, check_on)
    return merged


def _check_parity(model, merged, inputs):
    pairs = zip(tree.flatten(model(inputs)), tree.flatten(merged(inputs)), strict=True)
    for expected, found in (map(np.asarray, pair) for pair in pairs):
        difference, scale = np.max(np.abs(expected - found)), np.max(np.abs(expected))
        if not difference <= 1e-4 * scale:
            raise ValueError(
                f"The merged model differs from '{model.name}' by {difference} at outputs of up "
                f"to {scale}. Are its weights finite?"
            )


def copy_model(model: keras.Model) -> keras.Model:
    """Copies a built Functional or Sequential model with its weights, not compiled."""
    return clone(model, _same, copy_weights)


def clone(
    model: keras.Model,
    convert: Callable[[keras.Layer], keras.Layer],
    fill: Callable[[keras.Layer, keras.Layer], None],
) -> keras.Model:
    """Rebuilds a Functional or Sequential model layer by layer; the clone is not compiled.

    Args:
        model: The model; it is not touched.
        convert: Gives the new, unbuilt layer for a layer. Nested models are opened before.
        fill: Called with each layer and its built clone, to set the weights.
    """
    copies: dict[int, Any] = {}
    pairs = []

    def copied(operation):
        if id(operation) not in copies:
            if _is_graph(operation):
                copies[id(operation)] = _rebuild(operation, copied)
            elif isinstance(operation, keras.Layer):
                copies[id(operation)] = convert(operation)
                pairs.append((operation, copies[id(operation)]))
            else:
                copies[id(operation)] = _same_operation(operation)
        return copies[id(operation)]

    copy = _rebuild(model, copied)
    for source, target in pairs:
        fill(source, target)
    return copy


def _rebuild(model, copied):
    if isinstance(model, keras.Sequential):
        (tensor,) = model.inputs
        inputs = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
        return keras.Sequential([inputs, *map(copied, model.layers)], name=model.name)
    # `clone_model` compiles the clone of a compiled model; another model on its graph is none.
    graph = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(graph, clone_function=copied)


def copy_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Gives a built layer the weights of a layer of its kind, and what follows from them."""
    target.set_weights(source.get_weights())
    if isinstance(target, keras.layers.Wrapper):
        copy_weights(source.layer, target.layer)
    elif hasattr(target, "finalize_state"):
        # A layer that was adapted computes with values beside its weights, set only on loading.
        stored: dict[str, Any] = {}
        source.save_own_variables(stored)
        target.load_own_variables(stored)


def _is_convertible(layer):
    return type(layer) in _REPARAMETRIZED and not layer.quantization_mode


def _same(layer):
    config = layer.get_config()
    if isinstance(layer, keras.layers.Lambda):
        # `Lambda.from_config` refuses Python functions; the functions themselves are at hand here.
        config |= {"function": layer.function, "mask": layer.mask, "arguments": layer.arguments}
        if isinstance(config.get("output_shape"), dict):
            # A function, which is not at hand; Keras infers the shape from the one of the layer.
            del config["output_shape"]
        return keras.layers.Lambda(**config)
    return layer.from_config(config)


def _same_operation(operation):
    try:
        return operation.from_config(operation.get_config())
    except NotImplementedError:  # Made with an array, say; it has no state, so it can be shared.
        return operation


def _without_lora(config):
    left_out = ("lora_rank", "lora_alpha", "quantization_config")
    return {key: value for key, value in config.items() if key not in left_out}


def _check_base(base):
    if not isinstance(base, keras.Model) or not _is_graph(base) or not base.built:
        raise ValueError(
            "The base must be a Functional or Sequential model with its input shape known. "
            f"Received: {base} of type {type(base).__name__}. Rebuild a subclassed model with "
            "`keras.Model(inputs, outputs)`; give a Sequential model an `Input` or build it."
        )
    if policy_layers(base):
        raise ValueError(
            f"Model '{base.name}' is reparametrized already: {list(policy_layers(base))[:3]}... "
            "Call `merge` on it first."
        )
    for path, layer in walk(base):
        if isinstance(layer, keras.layers.SpectralNormalization):
            raise ValueError(
                f"Layer '{path}' is a SpectralNormalization, which changes the kernel in training "
                "even when frozen. Rebuild the base with the layer inside it in its place."
            )


def _check_num_classes(num_classes):
    if num_classes is None:
        return
    if isinstance(num_classes, numbers.Integral) and int(num_classes) >= 1:
        return
    raise ValueError(
        f"`num_classes` must be a whole number of at least 1. Received: {num_classes!r}."
    )
