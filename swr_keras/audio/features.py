"""Front ends: what they have in common, and log-mel features as in BC-ResNet's front end."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class FrontEnd(Protocol):
    """What turns clips into features: a value, the same for all clips, usable in `tf.data`.

    Attributes:
        sample_rate_hz: Rate of the audio, in Hz.

    Call arguments:
        audio: Float32 `(batch, samples)` in [-1, 1].

    Returns:
        Float32 `(batch, *self.shape(samples))`.
    """

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio, in Hz."""

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, features, 1)` for clips of `samples` samples."""

    def __call__(self, audio: tf.Tensor) -> tf.Tensor: ...


class FramedFrontEnd:
    """What the front ends share that cut clips into frames; their fields are in milliseconds."""

    sample_rate_hz: int
    num_mels: int
    window_ms: float
    hop_ms: float

    @property
    def window_samples(self) -> int:
        """Window length in samples."""
        return round(self.sample_rate_hz * self.window_ms / 1000)

    @property
    def hop_samples(self) -> int:
        """Step between frames in samples."""
        return round(self.sample_rate_hz * self.hop_ms / 1000)


class MelFrontEnd(FramedFrontEnd):
    """What the front ends that filter power spectra of centred frames share."""

    @property
    def fft_length(self) -> int:
        """FFT frame in samples: as long as the window."""
        return self.window_samples

    def shape(self, samples: int) -> tuple[int, int, int]:
        """Returns `(frames, num_mels, 1)` for clips of `samples` samples."""
        return self.spectrogram.frames(samples), self.num_mels, 1

    @property
    def spectrogram(self) -> "PowerSpectrogram":
        """The power spectra that are filtered."""
        return PowerSpectrogram(self.window_samples, self.hop_samples, self.fft_length)


@dataclass(frozen=True)
class LogMel(MelFrontEnd):
    """Log-mel spectrogram with the definition of torchaudio's `MelSpectrogram`.

    Frames are centred (reflect padding), windowed by a periodic Hann in the middle of the FFT
    frame, and become a power spectrum; the mel filters are triangles in Hz between corners equally
    spaced on the HTK mel scale from 0 to half the sample rate, unnormalised. Output is
    `ln(mel + log_offset)`. Pure TensorFlow operations: works eagerly and inside `tf.data`.

    Source: BC-ResNet (arXiv 2106.04140), whose defaults these are.

    Args:
        sample_rate_hz: Rate of the audio, in Hz.
        num_mels: Mel bands.
        window_ms: Window length.
        hop_ms: Step between frames.
        fft_length: FFT frame in samples, at least the window.
        log_offset: Keeps the logarithm of an empty band finite.

    Call arguments:
        audio: Float32 `(batch, samples)` in [-1, 1].

    Returns:
        Float32 `(batch, 1 + samples // hop, num_mels, 1)`: 101 frames for 1 s at the defaults.

    Raises:
        ValueError: If a setting is not positive, the window exceeds the FFT frame, a mel band is
            narrower than the FFT resolution, or a clip is shorter than the padding.
    """

    sample_rate_hz: int = 16000
    num_mels: int = 40
    window_ms: float = 30
    hop_ms: float = 10
    fft_length: int = 512
    log_offset: float = 1e-6

    def __post_init__(self) -> None:
        counts = (self.sample_rate_hz, self.num_mels, self.window_samples, self.hop_samples)
        if min(counts) < 1 or self.log_offset <= 0:
            raise ValueError(f"LogMel needs positive settings. Received: {self}.")
        if self.window_samples > self.fft_length:
            raise ValueError(
                f"The window of {self.window_samples} samples exceeds fft_length. "
                f"Received: {self}. Use a larger fft_length."
            )
        if empty := empty_bands(self.mel_matrix):
            raise ValueError(
                f"{empty} mel bands hold no FFT bin. Received: {self}. "
                "Use fewer num_mels or a larger fft_length."
            )

    @cached_property
    def mel_matrix(self) -> np.ndarray:
        """Mel filters, float32 `(fft_length // 2 + 1, num_mels)`."""
        nyquist_hz = self.sample_rate_hz / 2
        corners_mel = np.linspace(0.0, _hz_to_mel(nyquist_hz), self.num_mels + 2)
        filters = triangular_filters(_mel_to_hz(corners_mel), nyquist_hz, self.fft_length)
        return filters.astype(np.float32)

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        mel = tf.matmul(self.spectrogram(audio), self.mel_matrix)
        return tf.expand_dims(tf.math.log(mel + self.log_offset), -1)


@dataclass(frozen=True)
class PowerSpectrogram:
    """Power spectra of frames centred on every hop, from the first sample on.

    Clips are padded by reflection; a periodic Hann window lies in the middle of the FFT frame.

    Args:
        window_samples: Window length.
        hop_samples: Step between frames.
        fft_length: FFT frame in samples, at least the window.

    Call arguments:
        audio: Float32 `(batch, samples)`.

    Returns:
        Float32 `(batch, 1 + samples // hop_samples, fft_length // 2 + 1)`.

    Raises:
        ValueError: If a clip is shorter than the padding.
    """

    window_samples: int
    hop_samples: int
    fft_length: int

    def frames(self, samples: int) -> int:
        """Returns the number of frames in `samples` samples."""
        if samples <= self._padding[0]:
            raise ValueError(
                f"Clips must be longer than {self._padding[0]} samples to be padded by reflection. "
                f"Received: samples={samples}."
            )
        return 1 + samples // self.hop_samples

    def __call__(self, audio: tf.Tensor) -> tf.Tensor:
        samples = audio.shape[1]
        if samples is not None:
            self.frames(samples)
        padded = tf.pad(audio, [[0, 0], self._padding], mode="REFLECT")
        frames = tf.signal.frame(padded, self.window_samples, self.hop_samples)
        frames *= _periodic_hann(self.window_samples)
        spectrum = tf.signal.rfft(frames, [self.fft_length])
        return tf.math.real(spectrum * tf.math.conj(spectrum))

    @property
    def _padding(self) -> tuple[int, int]:
        # The window sits in the middle of an FFT frame whose other samples are zero. A power
        # spectrum ignores delay, so framing by the window alone gives the same values faster.
        unused = (self.fft_length - self.window_samples) // 2
        before = self.fft_length // 2 - unused
        return before, self.window_samples - before


def check_fixed(front_end: Any, reason: str, *, free: Collection[str] = ()) -> None:
    """Refuses every setting but the defaults, for a front end that isn't free to choose.

    Args:
        front_end: A dataclass.
        reason: What fixes the settings, such as "MicroFrontend is compiled with".
        free: Names of settings that are free to choose.

    Raises:
        ValueError: If a setting isn't its default.
    """
    other = [
        field
        for field in fields(front_end)
        if field.name not in free and getattr(front_end, field.name) != field.default
    ]
    if other:
        expected = ", ".join(f"{field.name}={field.default}" for field in other)
        received = ", ".join(f"{field.name}={getattr(front_end, field.name)}" for field in other)
        raise ValueError(
            f"{reason} {expected}. Received: {received}. Leave these settings out, and resample "
            "audio of another rate."
        )


def triangular_filters(corners_hz: np.ndarray, nyquist_hz: float, fft_length: int) -> np.ndarray:
    """Returns filters that rise to 1 from one corner to the next and fall to 0 at the one after.

    Args:
        corners_hz: Increasing, `(filters + 2,)`.
        nyquist_hz: Frequency of the last FFT bin.
        fft_length: FFT frame in samples.

    Returns:
        Float64 `(fft_length // 2 + 1, filters)`.
    """
    bins_hz = np.linspace(0.0, nyquist_hz, fft_length // 2 + 1)[:, None]
    low, centre, high = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def empty_bands(filters: np.ndarray) -> int:
    """Returns how many filters `(bins, filters)` are narrower than the FFT resolution, so zero."""
    return int(np.sum(filters.max(axis=0) == 0))


def _periodic_hann(length: int) -> np.ndarray:
    # tf.signal.hann_window(periodic=True) is symmetric for odd lengths.
    phase = 2.0 * np.pi * np.arange(length) / length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
