"""The features that microcontrollers compute: TFLite Micro's fixed-point audio front end."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from swr_keras.audio.clips import INT16_SCALE, to_int16
from swr_keras.audio.features import FramedFrontEnd, check_fixed

_FLOOR_LSB = 2
_MAX_WARM_UP_SECONDS = 60
_HOP_SAMPLES = 160


@dataclass(frozen=True)
class MicroFrontend(FramedFrontEnd):
    """TFLite Micro's audio front end, bit for bit as a device computes it.

    Windows of int16 audio become an FFT in fixed point, 40 mel bands from 125 to 7500 Hz, spectral
    subtraction of a running noise estimate, per-channel automatic gain control (PCAN) and a
    logarithm. A device that has been listening has adapted to the noise before a clip, so its
    features of it differ from those of a fresh state, mostly in the first half second:
    `warm_up_seconds` lets each clip follow on background.

    A device emits unsigned integers, 64 times a natural logarithm. Here they are multiplied by
    `scale`, 10 / 256, as microWakeWord and ESPHome do: at most about 26, exact in float32, and
    `features / scale` gives the device's integers back.

    The computation is a call of Python code, so a data set with it can't be saved as a graph. It
    holds the GIL for about a fifth of its time: the parallel batches of a `tf.data` pipeline
    overlap on up to about five cores.

    The settings are compiled in: they can be read, and written down for the device, but not
    chosen. Those of noise reduction, PCAN and logarithm that aren't here are the defaults of
    `FrontendFillConfigWithDefaults`.

    Source: `tensorflow/lite/experimental/microfrontend` with microWakeWord's settings, compiled
    in the package pymicro-features.

    Args:
        sample_rate_hz: Rate of the audio, in Hz.
        num_mels: Mel bands.
        window_ms: Window length.
        hop_ms: Step between frames.
        min_hz: Lower end of the lowest band.
        max_hz: Upper end of the highest band.
        pcan: Apply PCAN, which the library leaves off by default.
        scale: What the device's integers are multiplied by.
        warm_up_seconds: How much background is heard before each clip, whose frames are dropped.
            2 s are enough for a device that listens to a stream; 0 is a fresh state.

    Call arguments:
        audio: Float32 `(batch, samples)` in [-1, 1]; rounded to the int16 a device would hold.
        background: Float32 `(batch, any)`, what is heard before each clip, repeated for as long as
            that lasts and above a noise floor of 2 LSB, which is all that is heard without it.

    Returns:
        Float32 `(batch, samples // 160 - 2, 40, 1)`: 98 frames for 1 s.

    Raises:
        ImportError: If pymicro-features isn't installed.
        ValueError: If a setting but `warm_up_seconds` isn't its default, that one is negative or
            more than a minute, or a clip is shorter than a window.
    """

    sample_rate_hz: int = 16000
    num_mels: int = 40
    window_ms: float = 30
    hop_ms: float = 10
    min_hz: float = 125
    max_hz: float = 7500
    pcan: bool = True
    scale: float = 10 / 256
    warm_up_seconds: float = 0.0

    def __post_init__(self) -> None:
        _implementation()
        check_fixed(self, "MicroFrontend is compiled with", free=["warm_up_seconds"])
        if not 0 <= self.warm_up_seconds <= _MAX_WARM_UP_SECONDS:
            raise ValueError(
                f"warm_up_seconds must be 0 to {_MAX_WARM_UP_SECONDS}. "
                f"Received: warm_up_seconds={self.warm_up_seconds}."
            )

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, num_mels, 1)` for clips of `samples` samples."""
        if samples < self.window_samples:
            raise ValueError(
                f"Clips must hold at least a window of {self.window_samples} samples. "
                f"Received: samples={samples}."
            )
        return 1 + (samples - self.window_samples) // self.hop_samples, self.num_mels, 1

    def __call__(self, audio: tf.Tensor, background: tf.Tensor | None = None) -> tf.Tensor:
        batch, samples = audio.shape
        heard = [audio, tf.zeros_like(audio) if background is None else background]
        features = tf.numpy_function(self._compute, heard, tf.float32, stateful=False)
        frames = None if samples is None else self.shape(samples)[0]
        return tf.ensure_shape(features, (batch, frames, self.num_mels, 1))

    def _compute(self, audio: np.ndarray, background: np.ndarray) -> np.ndarray:
        hops = round(self.warm_up_seconds * 1000 / self.hop_ms)
        length = hops * self.hop_samples
        floor = np.random.default_rng(0).integers(-_FLOOR_LSB, _FLOOR_LSB + 1, length)
        features = np.empty((len(audio), *self.shape(audio.shape[1])), np.float32)
        for clip, noise, pcm in zip(features, background, to_int16(audio), strict=True):
            before = to_int16(np.resize(noise, length) + floor / INT16_SCALE)
            clip[...] = MicroFrontendState().feed(np.concatenate([before, pcm]))[hops:]
        return features


class MicroFrontendState:
    """`MicroFrontend` as it listens: what it has heard so far changes what it gives next."""

    def __init__(self) -> None:
        self._frontend = _implementation()()
        self._rest = np.empty(0, np.int16)

    def feed(self, pcm: np.ndarray) -> np.ndarray:
        """Hears what comes next.

        Args:
            pcm: Int16 `(any,)`; samples beyond the last whole hop are kept for the next call.

        Returns:
            Float32 `(frames, 40, 1)`, one frame a hop, the first of them after a whole window.
        """
        heard = np.concatenate([self._rest, pcm])
        hop = _HOP_SAMPLES
        hops = len(heard) // hop
        self._rest = heard[hops * hop :]
        results = (
            self._frontend.process_samples(heard[start : start + hop].tobytes()).features
            for start in range(0, hops * hop, hop)
        )
        frames = [features for features in results if features]
        return np.array(frames, np.float32).reshape(len(frames), MicroFrontend.num_mels, 1)


def _implementation():
    try:
        from pymicro_features import MicroFrontend
    except ImportError as error:
        raise ImportError(
            "MicroFrontend needs the package pymicro-features. Install it with: "
            "pip install 'swr-keras[microfrontend]'"
        ) from error
    return MicroFrontend
