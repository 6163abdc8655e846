"""Mel filters on Slaney's scale: linear up to 1000 Hz, logarithmic above, of equal area."""

import numpy as np

from swr_keras.audio.features import triangular_filters

_LINEAR_MELS = 15
_LINEAR_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def slaney_filters(
    num_mels: int, min_hz: float, max_hz: float, *, nyquist_hz: float, fft_length: int
) -> np.ndarray:
    """Returns triangles in Hz between corners equally spaced on the scale.

    Args:
        num_mels: Number of filters.
        min_hz: Lower corner of the first, in Hz.
        max_hz: Upper corner of the last, in Hz.
        nyquist_hz: Half the sample rate, in Hz.
        fft_length: FFT frame in samples.

    Returns:
        Float32 `(fft_length // 2 + 1, num_mels)`.

    Source: Slaney, Auditory Toolbox (Interval Research Corporation, 1998).
    """
    corners_hz = _mel_to_hz(np.linspace(_hz_to_mel(min_hz), _hz_to_mel(max_hz), num_mels + 2))
    filters = triangular_filters(corners_hz, nyquist_hz, fft_length)
    return (filters * 2.0 / (corners_hz[2:] - corners_hz[:-2])).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    if hz < _LINEAR_HZ:
        return _LINEAR_MELS * hz / _LINEAR_HZ
    return _LINEAR_MELS + np.log(hz / _LINEAR_HZ) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    linear = _LINEAR_HZ * mel / _LINEAR_MELS
    return np.where(
        mel < _LINEAR_MELS, linear, _LINEAR_HZ * np.exp(_LOG_STEP * (mel - _LINEAR_MELS))
    )
