"""From the frames of a stream to the probabilities of its classes."""

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Network(Protocol):
    """An int8 network from a window of frames to the logits of classes; `export.LiteModel` is one.

    Attributes:
        input_shape: `(1, frames, features, 1)`.
        output_shape: `(1, classes)`.
        output_scale: Step of the outputs' int8 grid.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_scale: float

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Rounds features `(n, frames, features, 1)` to the input's int8 grid."""

    def predict_int8(self, q: np.ndarray) -> np.ndarray:
        """Computes the int8 outputs `(n, classes)` of int8 inputs."""


class SlidingWindows:
    """The last frames of a stream at every so many; the lengths of its pieces don't matter.

    Args:
        length: Frames of a window.
        stride: Frames from one window to the next.

    Raises:
        ValueError: If one isn't positive.
    """

    def __init__(self, length: int, stride: int):
        if length < 1 or stride < 1:
            raise ValueError(
                "Windows need a positive number of frames, and so does their stride. Received: "
                f"length={length}, stride={stride}."
            )
        self._length, self._stride = length, stride
        self._heard: np.ndarray | None = None
        self._skip = 0

    def feed(self, frames: np.ndarray) -> np.ndarray:
        """Returns the windows that are complete now.

        Args:
            frames: `(any, features, 1)`, those that come next.

        Returns:
            `(windows, length, features, 1)`, a view.
        """
        heard = frames if self._heard is None else np.concatenate([self._heard, frames])
        count = max(0, (len(heard) - self._length - self._skip) // self._stride + 1)
        start = self._skip + count * self._stride
        dropped = min(start, len(heard))
        self._heard, skipped = heard[dropped:], self._skip
        self._skip = start - dropped
        if not count:
            return np.empty((0, self._length, *frames.shape[1:]), frames.dtype)
        windows = sliding_window_view(heard, self._length, axis=0)[skipped :: self._stride]
        return np.moveaxis(windows, -1, 1)


def class_probabilities(network: Network, windows: np.ndarray) -> np.ndarray:
    """Returns what a network says of windows.

    Args:
        network: The network.
        windows: `(n, frames, features, 1)`.

    Returns:
        Float32 `(n, classes)`; rows sum to 1.

    Raises:
        ValueError: If the windows are of another shape than the network's input.
    """
    return softmax_int8(network.predict_int8(network.quantize(windows)), network.output_scale)


def softmax_int8(outputs: np.ndarray, scale: float) -> np.ndarray:
    """Returns the softmax of int8 logits: the one place where integers become real numbers.

    The zero point cancels, and what a class lies below the largest one is a whole number from 0 to
    255, so `exp(-scale * d)` is a table of 256 entries, on a device too.

    Args:
        outputs: Int8 `(n, classes)`.
        scale: Step of their grid.

    Returns:
        Float32 `(n, classes)`; rows sum to 1.
    """
    table = np.exp(-scale * np.arange(256)).astype(np.float32)
    below = outputs.max(axis=1, keepdims=True).astype(int) - outputs
    weights = table[below]
    return weights / weights.sum(axis=1, keepdims=True)
