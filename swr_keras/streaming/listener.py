"""Several networks that hear one stream."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from swr_keras.audio import FrontEnd
from swr_keras.streaming.detection import Handling
from swr_keras.streaming.features import stream_features
from swr_keras.streaming.scores import Network, SlidingWindows, class_probabilities


class Listener:
    """Networks that hear one stream through one front end, which computes each frame once.

    Args:
        front_end: What all of them were trained on.
        networks: The networks by name of their task.
        stride: Frames from one window to the next.

    Attributes:
        sample_rate_hz: Rate of the audio, in Hz.
        window_samples: How much must have been heard for the first window, in samples, by name.

    Raises:
        ValueError: If the front end can't run over a stream, its features aren't those that a
            network takes, or `stride` isn't positive.
    """

    def __init__(self, front_end: FrontEnd, networks: Mapping[str, Network], *, stride: int):
        self._features = stream_features(front_end)
        self.sample_rate_hz = self._features.sample_rate_hz
        self._step_seconds = stride * self._features.hop_samples / self.sample_rate_hz
        self._networks = dict(networks)
        self._windows = {}
        self.window_samples = {}
        for name, network in networks.items():
            _check(name, network, front_end)
            frames = network.input_shape[1]
            self._windows[name] = SlidingWindows(frames, stride)
            self.window_samples[name] = self._features.frame_end(frames - 1)

    def feed(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the networks say of what comes next.

        Args:
            audio: Float32 `(any,)` in [-1, 1].

        Returns:
            Float32 `(windows, classes)` by name, of the windows that are complete now.
        """
        frames = self._features.feed(audio)
        return {
            name: class_probabilities(network, self._windows[name].feed(frames))
            for name, network in self._networks.items()
        }

    def handling(
        self, name: str, labels: Sequence[str], *, smoothing_ms: float, refractory_ms: float
    ) -> Handling:
        """Returns how a network's windows become detections.

        Args:
            name: Of the task.
            labels: Names of its classes.
            smoothing_ms: Time that a score is the mean over, rounded to whole windows.
            refractory_ms: Time after a detection at which nothing is detected, rounded up.
        """
        step_ms = 1000 * self._step_seconds
        return Handling(
            labels=tuple(labels),
            first_seconds=self.window_samples[name] / self.sample_rate_hz,
            step_seconds=self._step_seconds,
            smoothing=max(1, round(smoothing_ms / step_ms)),
            refractory=math.ceil(round(refractory_ms / step_ms, 6)),
        )


def _check(name, network, front_end):
    if len(network.input_shape) != 4 or len(network.output_shape) != 2:
        raise ValueError(
            f"'{name}' needs a network from (1, frames, features, 1) to (1, classes). Received: "
            f"{network.input_shape} to {network.output_shape}."
        )
    features = front_end.shape(front_end.sample_rate_hz)[1:]
    if network.input_shape[2:] != features:
        raise ValueError(
            f"The network of '{name}' takes frames of shape {network.input_shape[2:]}, but the "
            f"front end gives {features}: {front_end}. Give the one that it was trained on."
        )
