"""The mel features of the speech embedding, as openWakeWord computes them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import tensorflow as tf

from swr_keras.data.clips import INT16_SCALE
from swr_keras.data.slaney import slaney_filters

_FFT_LENGTH = 512
_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_LOWEST_HZ = 60.0
_HIGHEST_HZ = 3800.0
_POWER_FLOOR = 1e-10
_RANGE_DECADES = 8.0
_OFFSET = 2.0


@dataclass(frozen=True)
class EmbeddingMel:
    """Mel spectrogram that `backbones.speech_embedding` takes, in decades of power.

    Frames aren't padded: a periodic Hann window of 25 ms in the middle of each FFT frame of 512
    samples, every 10 ms. The power spectrum of the audio at 16-bit scale goes through 32 triangles
    of equal area between corners equally spaced on Slaney's mel scale from 60 to 3800 Hz. Output
    is `log10(mel) + 2`, never more than 8 (80 dB) below the clip's largest. Pure TensorFlow
    operations: works eagerly and inside `tf.data`.

    Source: `melspectrogram.tflite` of openWakeWord and its scaling `x / 10 + 2`. On streams it
    runs per 1760 samples, whose largest value then sets the floor; here it is the whole clip's.

    Args:
        sample_rate_hz: rate of the audio, in Hz; only 16000.

    Attributes:
        num_mels: mel bands.

    Call arguments:
        audio: float32 `(batch, samples)` in [-1, 1].

    Returns:
        float32 `(batch, 1 + (samples - 512) // 160, 32, 1)`: 97 frames for 1 s.

    Raises:
        ValueError: the sample rate is another, or a clip is shorter than an FFT frame.
    """

    sample_rate_hz: int = 16000
    num_mels: ClassVar[int] = 32

    def __post_init__(self) -> None:
        if self.sample_rate_hz != 16000:
            raise ValueError(
                "The speech embedding was trained on audio of 16000 Hz. Received: "
                f"sample_rate_hz={self.sample_rate_hz}. Resample the audio."
            )

    @cached_property
    def mel_matrix(self) -> np.ndarray:
        """Mel filters, float32 `(257, 32)`."""
        return slaney_filters(
            self.num_mels,
            _LOWEST_HZ,
            _HIGHEST_HZ,
            nyquist_hz=self.sample_rate_hz / 2,
            fft_length=_FFT_LENGTH,
        )

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, 32, 1)` for clips of `samples` samples."""
        if samples < _FFT_LENGTH:
            raise ValueError(
                f"Clips must hold at least a frame of {_FFT_LENGTH} samples. "
                f"Received: samples={samples}."
            )
        return 1 + (samples - _FFT_LENGTH) // _HOP_SAMPLES, self.num_mels, 1

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        samples = audio.shape[1]
        if samples is not None:
            self.shape(samples)
        # A power spectrum ignores delay, so the zeros beside the window can go to its end.
        beside = (_FFT_LENGTH - _WINDOW_SAMPLES) // 2
        frames = tf.signal.frame(audio[:, beside:-beside], _WINDOW_SAMPLES, _HOP_SAMPLES)
        frames *= INT16_SCALE * tf.signal.hann_window(_WINDOW_SAMPLES)
        spectrum = tf.signal.rfft(frames, [_FFT_LENGTH])
        power = tf.math.real(spectrum * tf.math.conj(spectrum))
        mel = tf.maximum(tf.matmul(power, self.mel_matrix), _POWER_FLOOR)
        decades = tf.math.log(mel) / math.log(10.0)
        floor = tf.reduce_max(decades, axis=(1, 2), keepdims=True) - _RANGE_DECADES
        return tf.expand_dims(tf.maximum(decades, floor) + _OFFSET, -1)
