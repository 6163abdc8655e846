"""From a plain Keras model to reparametrized layers and back."""

import logging
import numbers
from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import tree

from swr_keras.graph import (
    clone,
    copy_layer,
    copy_weights,
    is_graph,
    live_config,
    walk,
)
from swr_keras.layers import normalization
from swr_keras.layers import reparametrized as swr
from swr_keras.layers.extension import Extension
from swr_keras.layers.output_path import calls_after, last_with_weights
from swr_keras.layers.replicas import BatchNormalizationOverReplicas

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
    BatchNormalizationOverReplicas: normalization.SWRBatchNormalization,
    normalization.FusedBatchNormalization: normalization.SWRFusedBatchNormalization,
    normalization.SubSpectralNormalization: normalization.SWRSubSpectralNormalization,
}
_KERAS_NORM: Any = keras.layers.BatchNormalization
_PLAIN = {swr_class: plain for plain, swr_class in (_REPARAMETRIZED | _NORMALIZATION).items()} | {
    BatchNormalizationOverReplicas: keras.layers.BatchNormalization,
    normalization.SWRBatchNormalization: keras.layers.BatchNormalization,
    normalization.SWRFusedBatchNormalization: keras.layers.BatchNormalization,
}


def policy_layers(model: keras.Model) -> dict[str, swr.ReparametrizedLayer]:
    """Returns the reparametrized layers of a model by path, in the order of the model."""
    return {
        path: layer for path, layer in walk(model) if isinstance(layer, swr.ReparametrizedLayer)
    }


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
        if isinstance(layer, swr.ReparametrizedLayer):
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
        if path == head or _is_plain(layer):
            own = {variable.name: variable for variable in layer.weights}
        elif isinstance(layer, normalization.TaskNormalization):
            own = layer.task_variables()
        elif path in open_layers:
            own = {f"{name}_delta": delta for name, delta in layer.delta.items()}
        else:
            own = {}
        variables |= {f"{path}/{name}": variable for name, variable in own.items()}
    return variables


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
    normalization.check_mode(batch_norm)
    _check_base(base)
    _check_num_classes(num_classes)
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
        if id(layer) in added and _is_plain(layer):
            kind = BatchNormalizationOverReplicas if type(layer) is _KERAS_NORM else layer
            return kind.from_config(config)
        if layer is new_head:
            if resized:
                config["units" if "units" in config else "filters"] = num_classes
            return layer.from_config(_without_lora(config))
        if is_convertible(layer):
            return _REPARAMETRIZED[type(layer)].from_config(_without_lora(config))
        if type(layer) in _NORMALIZATION:
            return _NORMALIZATION[type(layer)].from_config({**config, "mode": batch_norm})
        return copy_layer(layer)

    def fill(source, target):
        if isinstance(target, swr.ReparametrizedLayer):
            for name, frozen in target.frozen.items():
                frozen.assign(getattr(source, name))
        elif isinstance(target, normalization.TaskNormalization):
            target.start_from(source)
        elif source is not new_head:
            copy_weights(source, target)

    cause = None
    try:
        model = clone(base, convert, fill)
        fits = not resized or model.outputs[0].shape[-1] == num_classes
    except ValueError as error:
        if not resized:
            raise
        fits, cause = False, error
    if not fits:
        raise ValueError(
            f"A head '{head}' of {num_classes} outputs does not fit '{base.name}', which has "
            f"{base.outputs[0].shape[-1]}: what comes after it fixes the number of classes. "
            f"Received: {calls_after(base, str(head))} between the head and the output. Keep the "
            "number of classes, name another layer by `head=`, or rebuild the model with its head "
            "last."
        ) from cause
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
        head: Path of a Dense or convolution layer; by default the one that the output is computed
            from by nothing but batch norm and layers without weights.

    Raises:
        ValueError: If `base` is subclassed, not built or reparametrized already, if there is no
            such layer or several, or if it is of another class.
    """
    _check_base(base)
    weighted = {path: layer for path, layer in walk(base) if layer.weights}
    if not weighted or (head is not None and head not in weighted):
        raise ValueError(
            f"`head` must name a layer with weights. Received: head={head!r}; model "
            f"'{base.name}' has {list(weighted)}."
        )
    found = [head] if head else last_with_weights(base, ignored=tuple(_NORMALIZATION))
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


def is_batch_norm(layer: keras.layers.Layer) -> bool:
    """Whether `reparametrize` gives a layer a batch norm mode, or did."""
    return type(layer) in _NORMALIZATION or isinstance(layer, normalization.TaskNormalization)


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
        if type(layer) not in _PLAIN:
            return copy_layer(layer)
        config = live_config(layer)
        config.pop("mode", None)
        return _PLAIN[type(layer)].from_config(config)

    def fill(source, target):
        if isinstance(source, swr.ReparametrizedLayer):
            for name, value in source.merged_weights().items():
                variable = next(v for v in target.weights if v.name == name)
                variable.assign(value)
        elif isinstance(source, normalization.TaskNormalization):
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


def is_convertible(layer: keras.layers.Layer) -> bool:
    """Whether a layer is of a class that `reparametrize` gives a delta, or has one."""
    if isinstance(layer, swr.ReparametrizedLayer):
        return True
    return type(layer) in _REPARAMETRIZED and not layer.quantization_mode


def _is_plain(layer):
    """Whether a layer of a reparametrized model is the task's in whole: it is as Keras has it."""
    return (type(layer) in _REPARAMETRIZED and is_convertible(layer)) or (
        type(layer) in _NORMALIZATION
    )


def _extended(base, extension):
    """Returns the base with the layers of an extension, and the ids of these."""
    extended, own = extension.extend(base), dict(walk(base))
    added = {path: layer for path, layer in walk(extended) if path not in own}
    for path, layer in added.items():
        if layer.weights and not _is_plain(layer):
            raise ValueError(
                f"A task can own dense layers, convolutions and batch norm. Received: '{path}', a "
                f"{type(layer).__name__}, that an extension adds to '{base.name}'. Choose blocks "
                "without such layers, or another method."
            )
    return extended, frozenset(map(id, added.values()))


def _without_lora(config):
    left_out = ("lora_rank", "lora_alpha", "quantization_config")
    return {key: value for key, value in config.items() if key not in left_out}


def _check_base(base):
    if not isinstance(base, keras.Model) or not is_graph(base) or not base.built:
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
