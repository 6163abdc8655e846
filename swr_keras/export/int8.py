"""Conversion of a trained Keras model to int8 for TFLite Micro."""

import logging
import tempfile
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from swr_keras.export.calibration import extremeness
from swr_keras.export.deploy import deploy_graph
from swr_keras.export.flatbuffer import ExportError
from swr_keras.export.folding import avoid_rounding_ties
from swr_keras.export.lite_model import LiteModel
from swr_keras.export.trace import check_exportable
from swr_keras.export.verify import verify_int8
from swr_keras.graph import copy_model

_KEPT_SHARES = (0.9, 0.5)
_MAX_COMPARED = 64
_MAX_VERIFIED = 32

_logger = logging.getLogger(__name__)


def convert_int8(model: keras.Model, calibration: np.ndarray | Iterable[Any]) -> bytes:
    """Converts a trained model to a `.tflite` file for TFLite Micro and verifies it there.

    Weights are int8 with one scale per output channel, activations, input and output int8 with
    one scale per tensor, biases int32. The same model and calibration give the same bytes, and
    models that differ in batch norm alone the same int8 kernels, up to the sign of each channel.

    Args:
        model: A plain Functional or Sequential model with one float input and one output, of
            fixed sizes except the batch. It isn't changed.
        calibration: Features of a fixed list of *training* examples, `(n, *input_shape)` or an
            iterable of single examples; some hundred that cover all classes are enough. They set
            the range of each activation, without the tenth or the half of them that drive
            activations farthest, whichever gives outputs nearer to the float model's. Up to 32
            also serve the verification.

    Returns:
        Contents of the `.tflite` file, which passed `verify_int8`.

    Raises:
        ValueError: If `model` isn't such a model, or if `calibration` is empty, of another shape,
            not finite or constant.
        ExportError: If weights aren't finite, or the converted model fails the verification.

    Example:
        >>> data = convert_int8(task.merge(), train_features[:256])
        >>> pathlib.Path("task.tflite").write_bytes(data)
    """
    check_exportable(model)
    model = copy_model(model)
    avoid_rounding_ties(model)
    deployed = deploy_graph(model)
    _check_model(deployed)
    examples = _check_calibration(calibration, deployed.input_shape[1:])
    data = _convert_nearest(deployed, examples)
    result = verify_int8(data, _some(examples, _MAX_VERIFIED))
    _logger.info(
        "%s: %d bytes, %d operators; %.2f %% of output values on TFLite Micro are 1 LSB off the "
        "reference",
        model.name,
        len(data),
        len(result.operators),
        100 * result.differing,
    )
    return data


def _convert_nearest(model, examples):
    """Converts with each share of the examples; returns what comes nearest to the float model."""
    scores = extremeness(model, examples)
    compared = _some(examples, _MAX_COMPARED)
    expected = model.predict(compared, batch_size=1, verbose=0)
    candidates = [
        _convert(model, examples[scores <= limit])
        for limit in np.unique(np.quantile(scores, _KEPT_SHARES, method="lower"))
    ]

    def error(data):
        squares = np.square(LiteModel(data).predict(compared) - expected)
        # The median over examples, since the odd ones are clipped on purpose.
        return np.median(squares.reshape(len(squares), -1).mean(axis=1))

    return min(candidates, key=error)


def _some(examples, most):
    return examples[:: -(-len(examples) // most)]


def _convert(model, examples):
    signature = tf.TensorSpec(model.input_shape, tf.float32, name="input")
    with tempfile.TemporaryDirectory() as directory:
        # By way of a directory, since `from_keras_model` prints to stdout.
        model.export(directory, input_signature=[signature], verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        try:
            return converter.convert()
        except (RuntimeError, ValueError) as error:
            raise ExportError(
                f"The TFLite converter can't express model '{model.name}' in int8 built-in "
                f"operators: {error}"
            ) from error


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
        if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
            raise ValueError(
                "Recurrent layers can't be converted: the TFLite converter crashes on their "
                f"loops. Received: layer '{layer.name}' in '{model.name}'. Use convolutions over "
                "time instead."
            )
    for weight in model.weights:
        if not np.isfinite(weight).all():
            raise ExportError(
                f"Weight '{weight.path}' of the deploy graph has NaN or infinite values, so the "
                "training diverged. Train again with a lower learning rate."
            )


def _check_calibration(calibration, shape):
    if not isinstance(calibration, np.ndarray):
        calibration = [np.asarray(example, "float32") for example in calibration]
        shapes = {example.shape for example in calibration}
        if len(shapes) > 1:
            raise ValueError(
                f"Expected calibration examples of one shape, {shape}. Received: {sorted(shapes)}."
            )
    examples = np.asarray(calibration, "float32")
    if not len(examples):
        raise ValueError("Expected calibration examples. Received: none; pass training features.")
    if examples.shape[1:] != shape:
        raise ValueError(
            f"Expected calibration of shape (n, {', '.join(map(str, shape))}), the model's input. "
            f"Received: shape={examples.shape}."
        )
    if not np.isfinite(examples).all():
        bad = np.flatnonzero(~np.isfinite(examples.reshape(len(examples), -1)).all(axis=1))
        raise ValueError(
            f"Calibration must be finite. Received: NaN or infinite values in {len(bad)} of "
            f"{len(examples)} examples, the first at index {bad[0]}."
        )
    if examples.min() == examples.max():
        raise ValueError(
            f"Calibration must vary to give ranges. Received: the value {examples.flat[0]} "
            "everywhere; pass features of training examples."
        )
    return examples
