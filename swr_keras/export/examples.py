"""The calibration examples of a conversion, as users have them."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from swr_keras.export.trace import inference_graph

_FARTHEST = 3.0


def calibration_array(calibration: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Returns calibration examples as one array, checked.

    Args:
        calibration: Features `(n, *shape)`; an iterable of single examples; a `tf.data.Dataset` or
            a `keras.utils.PyDataset` of batches of features, or of features and labels; or a
            function as TFLite takes it, which gives lists with one example of batch 1.
        shape: Shape of an example.

    Returns:
        float32 `(n, *shape)`.

    Raises:
        ValueError: If they are none of these, empty, not finite or constant.
    """
    examples = np.asarray(_gathered(calibration, shape), "float32")
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


def _gathered(calibration, shape):
    if isinstance(calibration, np.ndarray | tf.Tensor):
        return calibration
    if isinstance(calibration, tuple):
        raise ValueError(
            f"Expected features alone. Received: a tuple of {len(calibration)}; pass the features "
            "of `(features, labels)`."
        )
    if isinstance(calibration, tf.data.Dataset | keras.utils.PyDataset):
        return list(_from_batches(calibration, shape))
    if callable(calibration):
        return [np.asarray(inputs[0])[0] for inputs in calibration()]
    return _alike([np.asarray(example, "float32") for example in calibration], shape)


def _from_batches(data: Any, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    elements: Iterable = data
    if isinstance(data, keras.utils.PyDataset):
        elements = (data[index] for index in range(data.num_batches))
    for element in elements:
        features = np.asarray(element[0] if isinstance(element, tuple) else element)
        if features.shape == shape:
            yield features
        else:
            yield from features


def _alike(examples, shape):
    shapes = {example.shape for example in examples}
    if len(shapes) > 1:
        raise ValueError(
            f"Expected calibration examples of one shape, {shape}. Received: {sorted(shapes)}."
        )
    return examples


def warn_of_another_scale(model: keras.Model, examples: np.ndarray) -> None:
    """Warns if examples spread otherwise than those that the model was trained on.

    That can be known where it begins with a normalization, which remembers how its inputs spread:
    ranges set by examples of another scale clip the real ones, or waste steps on nothing.

    Args:
        model: The model, not folded yet.
        examples: float32 `(n, *input_shape[1:])`.
    """
    probe = _first_normalization(model)
    if probe is None:
        return
    norm, inputs = probe
    found = np.std(inputs.predict(examples, batch_size=1, verbose=0), axis=0)
    expected = np.sqrt(np.asarray(norm))
    ratios = (found + 1e-6) / (expected + 1e-6)
    ratio = float(np.exp(np.mean(np.log(ratios))))
    if not 1 / _FARTHEST < ratio < _FARTHEST:
        warnings.warn(
            f"The calibration examples spread {ratio:.2g} times as far as what the model was "
            "trained on. int8 ranges set by them don't suit the real inputs: calibrate with "
            "features computed as in training.",
            stacklevel=3,
        )


def _first_normalization(model):
    """The variance that the first layer of its kind knows, and a model that gives its input."""
    graph = inference_graph(model)
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, layers.Normalization) or type(layer).__name__ in (
            "BatchNormalization",
            "FusedBatchNormalization",
        ):
            variance = getattr(layer, "moving_variance", getattr(layer, "variance", None))
            tensor = call.inputs[0]
            if variance is None or np.size(variance) != tensor.shape[-1]:
                return None
            flat = ops.reshape(tensor, (-1, tensor.shape[-1]))
            return np.reshape(variance, -1), keras.Model(graph.inputs, flat)
    return None
