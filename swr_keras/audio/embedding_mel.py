"""The mel features of the speech embedding, as openWakeWord computes them."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from swr_keras.audio.clips import INT16_SCALE
from swr_keras.audio.features import FramedFrontEnd, check_fixed
from swr_keras.audio.slaney import slaney_filters


@dataclass(frozen=True)
class EmbeddingMel(FramedFrontEnd):
    """Mel spectrogram that `backbones.speech_embedding` takes, in decades of power.

    Frames aren't padded: a periodic Hann window of 25 ms in the middle of each FFT frame of 512
    samples, every 10 ms. The power spectrum of the audio at 16-bit scale goes through 32 triangles
    of equal area between corners equally spaced on Slaney's mel scale from 60 to 3800 Hz. Output
    is `log10(mel) + 2`, never more than 8 (80 dB) below the clip's largest. Pure TensorFlow
    operations: works eagerly and inside `tf.data`.

    Source: `melspectrogram.tflite` of openWakeWord and its scaling `x / 10 + 2`. On streams it
    runs per 1760 samples, whose largest value then sets the floor; here it is the whole clip's.

    The embedding was trained with these settings: they can be read, and written down for a device,
    but not chosen.

    Args:
        sample_rate_hz: Rate of the audio, in Hz.
        num_mels: Mel bands.
        window_ms: Window length.
        hop_ms: Step between frames.
        fft_length: FFT frame in samples.
        min_hz: Lower end of the lowest band.
        max_hz: Upper end of the highest band.
        power_floor: Least value of a band before the logarithm.
        range_decades: How far below the clip's largest value the output ends.
        offset: What is added to the logarithm.

    Call arguments:
        audio: Float32 `(batch, samples)` in [-1, 1].

    Returns:
        Float32 `(batch, 1 + (samples - 512) // 160, 32, 1)`: 97 frames for 1 s.

    Raises:
        ValueError: If a setting isn't its default, or a clip is shorter than an FFT frame.
    """

    sample_rate_hz: int = 16000
    num_mels: int = 32
    window_ms: float = 25
    hop_ms: float = 10
    fft_length: int = 512
    min_hz: float = 60
    max_hz: float = 3800
    power_floor: float = 1e-10
    range_decades: float = 8
    offset: float = 2

    def __post_init__(self) -> None:
        check_fixed(self, "The speech embedding was trained with")

    @cached_property
    def mel_matrix(self) -> np.ndarray:
        """Mel filters, float32 `(257, 32)`."""
        return slaney_filters(
            self.num_mels,
            self.min_hz,
            self.max_hz,
            nyquist_hz=self.sample_rate_hz / 2,
            fft_length=self.fft_length,
        )

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, 32, 1)` for clips of `samples` samples."""
        if samples < self.fft_length:
            raise ValueError(
                f"Clips must hold at least a frame of {self.fft_length} samples. "
                f"Received: samples={samples}."
            )
        return 1 + (samples - self.fft_length) // self.hop_samples, self.num_mels, 1

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        samples = audio.shape[1]
        if samples is not None:
            self.shape(samples)
        # A power spectrum ignores delay, so the zeros beside the window can go to its end.
        beside = (self.fft_length - self.window_samples) // 2
        frames = tf.signal.frame(audio[:, beside:-beside], self.window_samples, self.hop_samples)
        frames *= INT16_SCALE * tf.signal.hann_window(self.window_samples)
        spectrum = tf.signal.rfft(frames, [self.fft_length])
        power = tf.math.real(spectrum * tf.math.conj(spectrum))
        mel = tf.maximum(tf.matmul(power, self.mel_matrix), self.power_floor)
        decades = tf.math.log(mel) / math.log(10.0)
        floor = tf.reduce_max(decades, axis=(1, 2), keepdims=True) - self.range_decades
        return tf.expand_dims(tf.maximum(decades, floor) + self.offset, -1)
