"""Conversion of a trained Keras model to int8 for TFLite Micro."""

import dataclasses
import math
import re
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from swr_keras.export.calibration import (
    Calibration,
    agreement,
    by_nearness,
    extremeness,
    mean_error,
    representatives,
    snr_db,
)
from swr_keras.export.clipping import clipped_models
from swr_keras.export.compact import compact
from swr_keras.export.deploy import deploy_graph
from swr_keras.export.errors import ExportError
from swr_keras.export.examples import calibration_array, warn_of_another_scale
from swr_keras.export.flatbuffer import FlatBuffer, parse, read_model
from swr_keras.export.folding import avoid_rounding_ties
from swr_keras.export.head_fit import fit_head
from swr_keras.export.int8_model import Int8Model
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.micro import MISSING
from swr_keras.export.rescale import take_over
from swr_keras.export.trace import check_exportable
from swr_keras.export.verify import Verification, verify_int8
from swr_keras.graph import copy_model

_KEPT_SHARES = (1.0, 0.9, 0.5)
_MAX_COMPARED = 256
_WITHIN = (math.inf, 2.0, 1.5, 1.25, 1.2, 1.15, 0.0)
_MOST_ERROR = 1.6
_MAX_VERIFIED = 32
_CURES = {
    "ELU": "LeakyReLU",
    "GroupNormalization": "BatchNormalization",
    "LayerNormalization": "BatchNormalization",
    "RepeatVector": "a Concatenate of the vector with itself",
    "UnitNormalization": "BatchNormalization",
}


def convert_int8(model: keras.Model, calibration: Any, *, like: Any = None) -> Int8Model:
    """Converts a trained model to a `.tflite` file for TFLite Micro and verifies it there.

    Weights are int8 with one scale per output channel, activations, input and output int8 with
    one scale per tensor, biases int32. The same model and calibration give the same bytes, and
    models that differ in batch norm alone the same int8 kernels, up to the sign of each channel,
    but for the last layer's, see `head_fit.fit_head`. Scales of channels have 11 significant bits
    and biases 16, see `compact`.

    Args:
        model: A plain Functional or Sequential model with one float input and one output, of
            fixed sizes except the batch. It isn't changed.
        calibration: Features of a fixed list of *training* examples, `(n, *input_shape)`, or what
            else `calibration_array` takes; some hundred that cover all classes are enough. They set
            the range of each activation: all of them, or without the half that drive activations
            farthest, and clipped or not, see `clipping.clipped_models`, whichever gives outputs
            nearer to the float model's, see `calibration.by_nearness`. Up to 32 also serve the
            verification.
        like: The base of a task as int8, converted here: its activation scales are taken, see
            `rescale.take_over`, so that a `Bundle` has once what tasks don't change. All of them,
            or, where the mean error of outputs would grow by more than 2 dB, those that are nearer
            to the task's own; but always those of the trunk, what is computed before anything that
            the task changed, so that `to_c(..., keep_trunk=True)` can compute it once for all
            tasks. A warning says if these alone cost more than that.

    Returns:
        The model, which passed `verify_int8`. Where TFLite Micro's kernels aren't installed, its
        `verification` says that they were not run, and so does a warning.

    Raises:
        ValueError: If `model` isn't such a model, or if `calibration` is empty, of another shape,
            not finite or constant.
        ExportError: If weights aren't finite, or the converted model fails the verification.

    Example:
        >>> convert_int8(task.merge(), train_features[:256]).save("task.tflite")
    """
    check_exportable(model)
    model = copy_model(model)
    avoid_rounding_ties(model)
    deployed = deploy_graph(model)
    _check_model(deployed)
    examples = calibration_array(calibration, deployed.input_shape[1:])
    warn_of_another_scale(model, examples)
    try:
        contents, calibrated, result = _nearest_verified(deployed, examples, like)
    except ExportError as error:
        raise _naming_the_layer(error, deployed) from error
    if not result.on_micro:
        warnings.warn(f"The model was not run as a device runs it. {MISSING}", stacklevel=2)
    return Int8Model(contents, result, calibrated)


def _nearest_verified(
    model: keras.Model, examples: np.ndarray, like: Any
) -> tuple[FlatBuffer, Calibration, Verification]:
    """Returns, of the candidates that can be verified, what is nearest to the float model."""
    refused = []
    for contents, calibrated in _candidates(model, examples, like):
        try:
            return contents, calibrated, verify_int8(contents, _some(examples, _MAX_VERIFIED))
        except ExportError as error:
            refused.append(error)
    raise refused[0]


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A converted model, its outputs for the compared examples, and how many set its ranges."""

    contents: FlatBuffer
    outputs: np.ndarray
    kept: int

    @classmethod
    def of(cls, data: bytes, compared: np.ndarray, kept: int) -> "_Candidate":
        contents = parse(data)
        return cls(contents, LiteModel(contents).predict(compared), kept)

    def fitted(self, data: bytes, compared: np.ndarray, expected: np.ndarray) -> "_Candidate":
        """Makes one like this of a model whose last layer is fitted to the float outputs."""
        return self.of(fit_head(data, compared, expected), compared, self.kept)


def _candidates(
    model: keras.Model, examples: np.ndarray, like: Any
) -> Iterator[tuple[FlatBuffer, Calibration]]:
    """Yields conversions of several ranges of activations, the nearest to the float model first."""
    scores = extremeness(model, examples)
    outputs = model.predict(examples, batch_size=1, verbose=0)
    rows = representatives(outputs, _MAX_COMPARED)
    compared, expected = examples[rows], outputs[rows]
    limits = np.unique(np.quantile(scores, _KEPT_SHARES, method="lower"))
    sets = [examples[scores <= limit] for limit in limits]
    found = [
        _Candidate.of(data, compared, len(kept))
        for data, kept in zip(_convert(model, sets), sets, strict=True)
    ]
    nearest = _by_nearness(found, expected)[0]
    found += [
        _Candidate.of(data, compared, nearest.kept)
        for data in clipped_models(nearest.contents.data, examples)
    ]
    base = None if like is None else read_model(like).data
    for candidate in _by_nearness(found, expected):
        fitted = candidate.fitted(candidate.contents.data, compared, expected)
        if base is not None:
            taken = dict.fromkeys(take_over(candidate.contents.data, base, within=_WITHIN))
            shared = (fitted.fitted(data, compared, expected) for data in taken)
            fitted = _most_shared(shared, fitted, expected)
        yield (
            fitted.contents,
            Calibration(
                examples=len(examples),
                kept=fitted.kept,
                agreement=agreement(fitted.outputs, expected),
                snr_db=snr_db(fitted.outputs, expected),
            ),
        )


def _by_nearness(candidates, expected):
    order = by_nearness([candidate.outputs for candidate in candidates], expected)
    return [candidates[index] for index in order]


def _most_shared(candidates, own, expected):
    """Returns the first of some models that errs little more than one with scales of its own."""
    least = mean_error(own.outputs, expected)
    for shared in candidates:
        error = mean_error(shared.outputs, expected)
        if error <= _MOST_ERROR * least:
            return shared
    warnings.warn(
        "The activation scales of what the task shares with its base make the mean error of its "
        f"outputs {error / least:.1f} times as large. Calibrate the base on examples of its tasks, "
        "too.",
        stacklevel=2,
    )
    return shared


def _convert(model, sets):
    """Converts a model once for each set of calibration examples."""
    signature = tf.TensorSpec(model.input_shape, tf.float32, name="input")
    with tempfile.TemporaryDirectory() as directory:
        # By way of a directory, since `from_keras_model` prints to stdout.
        model.export(directory, input_signature=[signature], verbose=False)
        return [_convert_saved(directory, examples, model.name) for examples in sets]


def _convert_saved(directory, examples, name):
    converter = tf.lite.TFLiteConverter.from_saved_model(directory)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    try:
        return compact(converter.convert())
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"The TFLite converter can't express model '{name}' in int8 built-in operators: {error}"
        ) from error


def _naming_the_layer(error, model):
    """Puts the layer before the message where that names a tensor, which is called by it."""
    for layer in sorted(model.layers, key=lambda layer: -len(layer.name)):
        if re.search(rf"/{re.escape(layer.name)}(_\d+)?/", str(error)):
            kind = type(layer).__name__
            cure = f" Instead of {kind}, use {_CURES[kind]}." if kind in _CURES else ""
            return ExportError(f"Layer '{layer.name}', a {kind}, can't be exported: {error}{cure}")
    return error


def _some(examples, most):
    return examples[:: -(-len(examples) // most)]


def _check_model(model):
    for kind, tensors in (("input", model.inputs), ("output", model.outputs)):
        if len(tensors) != 1:
            raise ValueError(
                f"Expected a model with one {kind}. Received: '{model.name}' with {len(tensors)} "
                f"{kind}s: {[tensor.name for tensor in tensors]}. Convert a model with one."
            )
    if model.inputs[0].dtype != "float32":
        raise ValueError(
            f"Expected a float32 input. Received: {model.inputs[0].dtype} in '{model.name}'."
        )
    for layer in model.layers:
        if _has_loop(layer):
            raise ValueError(
                "Recurrent layers can't be converted: the TFLite converter crashes on their "
                f"loops. Received: layer '{layer.name}' in '{model.name}'. Build it with "
                "`unroll=True`, or use convolutions over time."
            )
    for weight in model.weights:
        if not np.isfinite(weight).all():
            raise ExportError(
                f"Weight '{weight.path}' of the deploy graph has NaN or infinite values, so the "
                "training diverged. Train again with a lower learning rate."
            )


def _has_loop(layer):
    if isinstance(layer, keras.layers.Bidirectional):
        return _has_loop(layer.forward_layer) or _has_loop(layer.backward_layer)
    return isinstance(layer, keras.layers.RNN) and not layer.unroll
