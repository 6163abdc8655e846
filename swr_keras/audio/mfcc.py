"""Mel-frequency cepstral coefficients on the fly, as in Res15's front end."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from swr_keras.audio.features import MelFrontEnd, empty_bands
from swr_keras.audio.slaney import slaney_filters


@dataclass(frozen=True)
class MFCC(MelFrontEnd):
    """Cepstral coefficients of librosa's mel spectrogram, as Res15 was trained on.

    Frames are centred, windowed by a periodic Hann as long as the FFT frame, and become a power
    spectrum; the mel filters are triangles in Hz between corners equally spaced on Slaney's mel
    scale from `min_hz` to `max_hz`, of equal area. Of positive mel values the natural logarithm is
    taken, zeros stay (digital silence gives zeros, not minus infinity); then an orthonormal
    DCT-II keeps as many coefficients as there are bands. Pure TensorFlow operations: works
    eagerly and inside `tf.data`.

    Clips are padded by reflection, as librosa did until 0.8, the versions of Res15's time. From
    0.9 on its default is zeros, which changes the first two and the last two frames; pass it
    `pad_mode="reflect"` for these features.

    Source: Res15 (arXiv 1710.10361) in castorini/honk, whose settings are the defaults.

    Args:
        sample_rate_hz: Rate of the audio, in Hz.
        num_mels: Mel bands, and coefficients.
        window_ms: Window length, and that of the FFT frame.
        hop_ms: Step between frames.
        min_hz: Lower end of the lowest band.
        max_hz: Upper end of the highest band, at most half the sample rate.

    Call arguments:
        audio: Float32 `(batch, samples)` in [-1, 1].

    Returns:
        Float32 `(batch, 1 + samples // hop, num_mels, 1)`: 101 frames for 1 s at the defaults.

    Raises:
        ValueError: If a length is not positive, the band edges are reversed or beyond half the
            sample rate, a mel band is narrower than the FFT resolution, or a clip is shorter than
            the padding.
    """

    sample_rate_hz: int = 16000
    num_mels: int = 40
    window_ms: float = 30
    hop_ms: float = 10
    min_hz: float = 20
    max_hz: float = 4000

    def __post_init__(self) -> None:
        if min(self.sample_rate_hz, self.num_mels, self.window_samples, self.hop_samples) < 1:
            raise ValueError(f"MFCC needs positive settings. Received: {self}.")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"MFCC needs 0 <= min_hz < max_hz <= sample_rate_hz / 2. Received: {self}."
            )
        if empty := empty_bands(self.mel_matrix):
            raise ValueError(
                f"{empty} mel bands hold no FFT bin. Received: {self}. "
                "Use fewer num_mels or a longer window_ms."
            )

    @cached_property
    def mel_matrix(self) -> np.ndarray:
        """Mel filters of equal area, float32 `(window_samples // 2 + 1, num_mels)`."""
        return slaney_filters(
            self.num_mels,
            self.min_hz,
            self.max_hz,
            nyquist_hz=self.sample_rate_hz / 2,
            fft_length=self.window_samples,
        )

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        mel = tf.matmul(self.spectrogram(audio), self.mel_matrix)
        log_mel = tf.math.log(tf.where(mel > 0, mel, 1.0))
        return tf.expand_dims(tf.signal.dct(log_mel, norm="ortho"), -1)
