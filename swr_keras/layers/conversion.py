"""From a plain Keras model to reparametrized layers and back."""

import logging
import numbers
from typing import Any

import keras
import numpy as np
from keras import tree

from swr_keras.graph import clone, copy_layer, copy_weights, live_config, walk
from swr_keras.layers.base import check_base
from swr_keras.layers.extension import Extension
from swr_keras.layers.head import calls_after, find_head
from swr_keras.layers.layer_kinds import (
    NORMALIZATION,
    PLAIN,
    REPARAMETRIZED,
    is_convertible,
    is_plain,
)
from swr_keras.layers.normalization import TaskNormalization, check_mode
from swr_keras.layers.reparametrized import ReparametrizedLayer
from swr_keras.layers.reparametrized_model import frozen_layers, policy_layers
from swr_keras.layers.replicas import BatchNormalizationOverReplicas

logger = logging.getLogger(__name__)

_KERAS_NORM: Any = keras.layers.BatchNormalization


def reparametrize(
    base: keras.Model,
    *,
    num_classes: int | None = None,
    head: str | None = None,
    batch_norm: str = "statistics",
    extension: Extension | None = None,
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
        batch_norm: `"statistics"`, `"affine"`, `"shift"`, `"frozen"` or `"owned"`, see
            `TaskNormalization`.
        extension: Layers to add, which stay plain and can be trained in whole.

    Returns:
        A Functional or Sequential model.

    Raises:
        ValueError: If `base` is subclassed or not built, is reparametrized already, has no layer
            to convert or one that changes frozen weights, if the head or `num_classes` is not one,
            or if the extension doesn't suit it.
    """
    check_mode(batch_norm)
    check_base(base)
    check_num_classes(num_classes)
    added: frozenset[int] = frozenset()
    if extension is not None:
        base, added = _extended(base, extension)
    new_head: Any = None
    resized = False
    if num_classes is not None:
        head = find_head(base, head)
        new_head = dict(walk(base))[head]
        resized = num_classes != base.outputs[0].shape[-1]

    def convert(layer):
        # A base frozen by `trainable = False` says so in the configuration of each layer.
        config = {**live_config(layer), "trainable": True}
        if id(layer) in added and is_plain(layer):
            kind = BatchNormalizationOverReplicas if type(layer) is _KERAS_NORM else layer
            return kind.from_config(config)
        if layer is new_head:
            if resized:
                config["units" if "units" in config else "filters"] = num_classes
            return layer.from_config(_without_lora(config))
        if is_convertible(layer):
            return REPARAMETRIZED[type(layer)].from_config(_without_lora(config))
        if type(layer) in NORMALIZATION:
            return NORMALIZATION[type(layer)].from_config({**config, "mode": batch_norm})
        return copy_layer(layer)

    def fill(source, target):
        if isinstance(target, ReparametrizedLayer):
            for name, frozen in target.frozen.items():
                frozen.assign(getattr(source, name))
        elif isinstance(target, TaskNormalization):
            target.start_from(source)
        elif source is not new_head:
            copy_weights(source, target)

    try:
        model = clone(base, convert, fill)
    except ValueError as error:
        if not resized:
            raise
        raise _head_does_not_fit(base, head, num_classes) from error
    if resized and model.outputs[0].shape[-1] != num_classes:
        raise _head_does_not_fit(base, head, num_classes)
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


def merge(model: keras.Model, *, check_on=None) -> keras.Model:
    """Folds `W + s * dW` into plain Keras layers: the architecture and cost of the base.

    Layers of an extension stay beside those of the base, so the model has a graph of its own and
    multiplies more than the base.

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
        if type(layer) not in PLAIN:
            return copy_layer(layer)
        config = live_config(layer)
        config.pop("mode", None)
        return PLAIN[type(layer)].from_config(config)

    def fill(source, target):
        if isinstance(source, ReparametrizedLayer):
            for name, value in source.merged_weights().items():
                variable = next(v for v in target.weights if v.name == name)
                variable.assign(value)
        elif isinstance(source, TaskNormalization):
            source.give_to(target)
        else:
            copy_weights(source, target)

    merged = clone(model, convert, fill)
    if check_on is not None:
        _check_parity(model, merged, check_on)
    return merged


def _check_parity(model, merged, inputs):
    # Keras' random layers change their input unless they are told that it is inference.
    outputs = (tree.flatten(each(inputs, training=False)) for each in (model, merged))
    pairs = zip(*outputs, strict=True)
    for expected, found in (map(np.asarray, pair) for pair in pairs):
        difference, scale = np.max(np.abs(expected - found)), np.max(np.abs(expected))
        if not difference <= 1e-4 * scale:
            raise ValueError(
                f"The merged model differs from '{model.name}' by {difference} at outputs of up "
                f"to {scale}. Are its weights finite?"
            )


def _extended(base, extension):
    """Returns the base with the layers of an extension, and the ids of these."""
    extended, own = extension.extend(base), dict(walk(base))
    added = {path: layer for path, layer in walk(extended) if path not in own}
    for path, layer in added.items():
        if layer.weights and not is_plain(layer):
            raise ValueError(
                f"A task can own dense layers, convolutions and batch norm. Received: '{path}', a "
                f"{type(layer).__name__}, that an extension adds to '{base.name}'. Choose blocks "
                "without such layers, or another method."
            )
    return extended, frozenset(map(id, added.values()))


def _head_does_not_fit(base, head, num_classes):
    return ValueError(
        f"A head '{head}' of {num_classes} outputs does not fit '{base.name}', which has "
        f"{base.outputs[0].shape[-1]}: what comes after it fixes the number of classes. "
        f"Received: {calls_after(base, head)} between the head and the output. Keep the number of "
        "classes, name another layer by `head=`, or rebuild the model with its head last."
    )


def _without_lora(config):
    left_out = ("lora_rank", "lora_alpha", "quantization_config")
    return {key: value for key, value in config.items() if key not in left_out}


def check_num_classes(num_classes: Any) -> None:
    """Raises ValueError unless it is `None` or a whole number of at least 1."""
    if num_classes is None:
        return
    if isinstance(num_classes, numbers.Integral) and int(num_classes) >= 1:
        return
    raise ValueError(
        f"`num_classes` must be a whole number of at least 1. Received: {num_classes!r}."
    )
