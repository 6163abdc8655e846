"""Ranges of int8 activations that clip what is rare, from the values that occur."""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from swr_keras.export.flatbuffer import as_object
from swr_keras.export.flatbuffer_nodes import to_file
from swr_keras.export.lite_model import LiteModel, litert_interpreter
from swr_keras.export.rescale import Scale, activation_scales, activations, set_scales

_CLIPPED_SHARES = (3e-5, 1e-4, 3e-4)
_Q = np.arange(-128, 128)

Counts = dict[tuple[int, ...], np.ndarray]
"""How often each int8 value occurs, `(256,)`, by the activations that have one scale."""


def clipped_models(data: bytes, examples: np.ndarray) -> Iterator[bytes]:
    """Yields models with narrower ranges of activations, which round the other values less.

    First with the ranges of the least squared error (clipping against rounding), then with those
    that clip 0.003, 0.01 and 0.03 % of the values at each end.

    Args:
        data: Contents of a `.tflite` file that was made here.
        examples: Features `(n, *input_shape[1:])` whose activations are counted.

    Yields:
        Contents of `.tflite` files; none for a model of several graphs.
    """
    if len(as_object(data).subgraphs) > 1:
        return
    counts = _count_activations(data, examples)
    by_share = [functools.partial(share_range, share=share) for share in _CLIPPED_SHARES]
    ranges: list[Callable[[Scale, np.ndarray], tuple[float, float]]]
    ranges = [least_squares_range, *by_share]
    for range_of in ranges:
        model = as_object(data)
        scales = activation_scales(model).items()
        set_scales(
            model, {key: _narrowed(scale, range_of(scale, counts[key])) for key, scale in scales}
        )
        yield to_file(model)


def _narrowed(scale, wanted):
    low, high = wanted
    if low == high:
        return scale
    step = (high - low) / 255
    return Scale(step, int(np.clip(np.rint(-128 - low / step), -128, 127)))


def share_range(scale: Scale, counts: np.ndarray, share: float) -> tuple[float, float]:
    """Returns the range, 0 included, beyond which lies a share of the values at each end."""
    below = np.cumsum(counts) / counts.sum()
    low, high = (_Q[np.searchsorted(below, each)] for each in (share, 1 - share))
    return min(scale.real(low), 0.0), max(scale.real(high), 0.0)


def least_squares_range(scale: Scale, counts: np.ndarray) -> tuple[float, float]:
    """Returns the range, 0 included, of the least squared error.

    What lies in it errs by a twelfth of the squared step, 0 by nothing, what is clipped by its
    squared distance from the end.
    """
    values = scale.real(_Q)
    lows, highs = np.minimum(values[values <= 0], 0.0), np.maximum(values[values >= 0], 0.0)
    beyond_low = [np.sum(counts * np.square(np.maximum(low - values, 0.0))) for low in lows]
    beyond_high = [np.sum(counts * np.square(np.maximum(values - high, 0.0))) for high in highs]
    rounded = np.cumsum(np.where(values == 0, 0, counts))
    last = len(values) - len(highs)
    inside = rounded[last:][np.newaxis] - np.append(0, rounded)[: len(lows), np.newaxis]
    steps = (highs[np.newaxis] - lows[:, np.newaxis]) / 255
    errors = np.add.outer(beyond_low, beyond_high) + inside * np.square(steps) / 12
    errors[steps == 0] = np.inf
    low, high = np.unravel_index(np.argmin(errors), errors.shape)
    return float(lows[low]), float(highs[high])


def _count_activations(data: bytes, examples: np.ndarray) -> Counts:
    """Runs a model on examples and counts the values of each activation whose scale may be set."""
    model = as_object(data)
    tensors = activations(model)
    counts = {key: np.zeros(256, np.int64) for key in activation_scales(model)}
    interpreter, _ = litert_interpreter(data, keep_activations=True)
    place = interpreter.get_input_details()[0]["index"]
    for example in LiteModel(data).quantize(examples):
        interpreter.set_tensor(place, example[np.newaxis])
        interpreter.invoke()
        for key, found in counts.items():
            for number in key:
                values = interpreter.get_tensor(int(tensors[number]))
                found += np.bincount(values.ravel().astype(np.int64) + 128, minlength=256)
    return counts
