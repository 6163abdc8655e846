"""From a plain Keras model to reparametrized layers and back."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

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
    shared layers stay nested and shared.

    Args:
        base: A built Functional or Sequential model.
        num_classes: If given, the head is replaced by a new, trainable one with so many outputs.
        head: Path of the head to replace, as for `find_head`; ignored without `num_classes`.
        batch_norm: `"statistics"`, `"affine"` or `"frozen"`, see `TaskNormalization`.

    Returns:
        A Functional or Sequential model.

    Raises:
        ValueError: If `base` is subclassed or not built, is reparametrized already, has no layer
            to convert, or if the head is not one.
    """
    normalization.check_mode(batch_norm)
    _check_base(base)
    new_head: Any = None
    if num_classes is not None:
        new_head = dict(walk(base))[find_head(base, head)]

    def convert(layer):
        config = layer.get_config()
        if layer is new_head:
            config["units" if "units" in config else "filters"] = num_classes
            return layer.from_config(_without_lora(config))
        if _is_convertible(layer):
            return _REPARAMETRIZED[type(layer)].from_config(_without_lora(config))
        if type(layer) in _NORMALIZATION:
            return _NORMALIZATION[type(layer)].from_config({**config, "mode": batch_norm})
        return _same(layer)

    def copy_weights(source, target):
        if isinstance(target, swr.ReparametrizedLayer):
            for name, frozen in target.frozen.items():
                frozen.assign(getattr(source, name))
        elif source is not new_head:
            target.set_weights(source.get_weights())

    model = clone(base, convert, copy_weights)
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
        ValueError: If there is no such layer, or it is of another class.
    """
    weighted = {path: layer for path, layer in walk(base) if layer.weights}
    if head is not None and head not in weighted:
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
        A new model of the classes the base was made of, except that batch norm of this package
        becomes `keras.layers.BatchNormalization`. Outputs are equal within float32 rounding.

    Raises:
        ValueError: If the outputs differ by more than 0.01 % of their range, or aren't finite.
    """

    def convert(layer):
        config = layer.get_config()
        config.pop("mode", None)
        return _PLAIN[type(layer)].from_config(config) if type(layer) in _PLAIN else _same(layer)

    def copy_weights(source, target):
        if isinstance(source, swr.ReparametrizedLayer):
            for name, value in source.merged_weights().items():
                variable = next(v for v in target.weights if v.name == name)
                variable.assign(value)
        else:
            target.set_weights(source.get_weights())

    merged = clone(model, convert, copy_weights)
    if check_on is not None:
        _check_parity(model, merged, check_on)
    return merged


def _check_parity(model, merged, inputs):
    expected, found = np.asarray(model(inputs)), np.asarray(merged(inputs))
    difference, scale = np.max(np.abs(expected - found)), np.max(np.abs(expected))
    if not difference <= 1e-4 * scale:
        raise ValueError(
            f"The merged model differs from '{model.name}' by {difference} at outputs of up to "
            f"{scale}. Are its weights finite?"
        )


def clone(
    model: keras.Model,
    convert: Callable[[keras.Layer], keras.Layer],
    copy_weights: Callable[[keras.Layer, keras.Layer], None],
) -> keras.Model:
    """Rebuilds a Functional or Sequential model layer by layer.

    Args:
        model: The model; it is not touched.
        convert: Gives the new, unbuilt layer for a layer. Nested models are opened before.
        copy_weights: Called with each layer and its built clone.
    """
    pairs = []

    def clone_layer(layer):
        if not isinstance(layer, keras.Layer):
            return layer
        copy = convert(layer)
        pairs.append((layer, copy))
        return copy

    copy = keras.models.clone_model(model, clone_function=clone_layer, recursive=True)
    for source, target in pairs:
        copy_weights(source, target)
    return copy


def _is_convertible(layer):
    return type(layer) in _REPARAMETRIZED and not layer.quantization_mode


def _same(layer):
    if isinstance(layer, keras.layers.Lambda):
        # `Lambda.from_config` refuses Python functions; the function itself is at hand here.
        return keras.layers.Lambda(**{**layer.get_config(), "function": layer.function})
    return layer.from_config(layer.get_config())


def _without_lora(config):
    left_out = ("lora_rank", "lora_alpha", "quantization_config")
    return {key: value for key, value in config.items() if key not in left_out}


def _check_base(base):
    if not isinstance(base, keras.Model) or not _is_graph(base) or not base.built:
        raise ValueError(
            "`reparametrize` takes a Functional or Sequential model with its input shape known. "
            f"Received: {base} of type {type(base).__name__}. Rebuild a subclassed model with "
            "`keras.Model(inputs, outputs)`; give a Sequential model an `Input` or build it."
        )
    if policy_layers(base):
        raise ValueError(
            f"Model '{base.name}' is reparametrized already: {list(policy_layers(base))[:3]}... "
            "Call `merge` on it first."
        )
