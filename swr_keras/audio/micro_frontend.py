"""The features that microcontrollers compute: TFLite Micro's fixed-point audio front end."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from swr_keras.audio.clips import to_int16
from swr_keras.audio.features import FramedFrontEnd, check_fixed


@dataclass(frozen=True)
class MicroFrontend(FramedFrontEnd):
    """TFLite Micro's audio front end, bit for bit as a device computes it.

    Windows of int16 audio become an FFT in fixed point, 40 mel bands from 125 to 7500 Hz, spectral
    subtraction of a running noise estimate, per-channel automatic gain control (PCAN) and a
    logarithm. Each clip starts from a fresh state. A device that has been listening has adapted to
    the noise before the clip, so its features of it differ, mostly in the first half second.

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
        sample_rate_hz: rate of the audio, in Hz.
        num_mels: mel bands.
        window_ms: window length.
        hop_ms: step between frames.
        min_hz: lower end of the lowest band.
        max_hz: upper end of the highest band.
        pcan: apply PCAN, which the library leaves off by default.
        scale: what the device's integers are multiplied by.

    Call arguments:
        audio: float32 `(batch, samples)` in [-1, 1]; rounded to the int16 a device would hold.

    Returns:
        float32 `(batch, samples // 160 - 2, 40, 1)`: 98 frames for 1 s.

    Raises:
        ImportError: pymicro-features isn't installed.
        ValueError: a setting isn't its default, or a clip is shorter than a window.
    """

    sample_rate_hz: int = 16000
    num_mels: int = 40
    window_ms: float = 30
    hop_ms: float = 10
    min_hz: float = 125
    max_hz: float = 7500
    pcan: bool = True
    scale: float = 10 / 256

    def __post_init__(self) -> None:
        _implementation()
        check_fixed(self, "MicroFrontend is compiled with")

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, num_mels, 1)` for clips of `samples` samples."""
        if samples < self.window_samples:
            raise ValueError(
                f"Clips must hold at least a window of {self.window_samples} samples. "
                f"Received: samples={samples}."
            )
        return 1 + (samples - self.window_samples) // self.hop_samples, self.num_mels, 1

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        batch, samples = audio.shape
        features = tf.numpy_function(self._compute, [audio], tf.float32, stateful=False)
        frames = None if samples is None else self.shape(samples)[0]
        return tf.ensure_shape(features, (batch, frames, self.num_mels, 1))

    def _compute(self, audio: np.ndarray) -> np.ndarray:
        features = np.empty((len(audio), *self.shape(audio.shape[1])), np.float32)
        for clip, pcm in zip(features, to_int16(audio), strict=True):
            clip[..., 0] = self._frames(pcm.tobytes())
        return features

    def _frames(self, pcm: bytes) -> list[list[float]]:
        frontend = _implementation()()
        hop_bytes = 2 * self.hop_samples
        starts = range(0, len(pcm) - hop_bytes + 1, hop_bytes)
        hops = (frontend.process_samples(pcm[start : start + hop_bytes]) for start in starts)
        return [hop.features for hop in hops if hop.features]


def _implementation():
    try:
        from pymicro_features import MicroFrontend
    except ImportError as error:
        raise ImportError(
            "MicroFrontend needs the package pymicro-features. Install it with: "
            "pip install 'swr-keras[microfrontend]'"
        ) from error
    return MicroFrontend
