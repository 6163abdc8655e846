"""What becomes of synthetic speech between the mouth and the file."""

import numpy as np
import soxr

from swr_keras.audio.synthetic_speakers import Speaker

SAMPLE_RATE_HZ = 16000
CLIP_SAMPLES = SAMPLE_RATE_HZ
_FRAME_SECONDS = 0.01
_SILENCE_DB = -40.0
_MARGIN_FRAMES = 2
_MIN_ECHO_SECONDS = 0.002


def warped(speech: np.ndarray, rate_hz: int, warp: float) -> np.ndarray:
    """Resamples to 16 kHz with all frequencies scaled by `warp`: another vocal tract and pitch.

    Args:
        speech: Float32 `(samples,)` at `rate_hz`.
        rate_hz: Rate of `speech`.
        warp: The factor; the speech lasts 1 / `warp` of its time.

    Returns:
        Float32 `(samples,)`.
    """
    return soxr.resample(speech, rate_hz * warp, SAMPLE_RATE_HZ, quality="HQ")


def trimmed(speech: np.ndarray) -> np.ndarray:
    """Cuts off the start and the end where 10 ms frames are 40 dB below the loudest one.

    Args:
        speech: Float32 `(samples,)` at 16 kHz, not all zero.

    Returns:
        Float32 `(samples,)`, a view with 20 ms left on either side.
    """
    size = round(_FRAME_SECONDS * SAMPLE_RATE_HZ)
    frames = np.pad(speech, (0, -len(speech) % size)).reshape(-1, size)
    energy = np.square(frames).sum(1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (_SILENCE_DB / 10))
    start = max(loud[0] - _MARGIN_FRAMES, 0)
    return speech[start * size : (loud[-1] + 1 + _MARGIN_FRAMES) * size]


def centred(speech: np.ndarray, samples: int = CLIP_SAMPLES) -> np.ndarray:
    """Returns `samples` samples with the speech, or its middle, in the middle."""
    excess = max(len(speech) - samples, 0)
    speech = speech[excess // 2 : excess // 2 + samples]
    missing = samples - len(speech)
    return np.pad(speech, (missing // 2, missing - missing // 2))


class Channel:
    """The room and the microphone of a speaker.

    Args:
        speaker: Whose.
        random: For the fine structure of the echo.
    """

    def __init__(self, speaker: Speaker, random: np.random.Generator) -> None:
        self._speaker = speaker
        self._response = _response(speaker, random)

    def record(self, speech: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Records speech: echo, tilt and noise at the speaker's level.

        Args:
            speech: Float32 `(16000,)`, not all zero.
            random: For the noise.

        Returns:
            Float32 `(16000,)` in [-1, 1].
        """
        spectrum = np.fft.rfft(speech, 2 * CLIP_SAMPLES)
        audio = np.fft.irfft(spectrum * self._response)[:CLIP_SAMPLES]
        noise = coloured_noise(CLIP_SAMPLES, random.uniform(0, 1.5), random)
        noise *= np.sqrt(np.mean(audio**2)) * _ratio(-self._speaker.snr_db)
        audio += noise
        audio *= _ratio(self._speaker.peak_db) / np.abs(audio).max()
        return audio.astype(np.float32)


def coloured_noise(samples: int, exponent: float, random: np.random.Generator) -> np.ndarray:
    """Returns noise of unit power: float64 `(samples,)`.

    Args:
        samples: How many.
        exponent: The power falls with frequency to this; 0 is white noise, 1 pink, 2 brown.
        random: Its source.
    """
    bins = np.arange(samples // 2 + 1)
    # Below 20 Hz there is nothing to hear, and brown noise has most of its power.
    bins[bins * SAMPLE_RATE_HZ < 20 * samples] = 0
    gain = np.zeros(len(bins))
    gain[bins > 0] = bins[bins > 0] ** (-exponent / 2)
    noise = np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) * gain, samples)
    return noise / np.sqrt(np.mean(noise**2))


def _response(speaker: Speaker, random: np.random.Generator) -> np.ndarray:
    """Frequency response of room and microphone, complex `(CLIP_SAMPLES + 1,)`."""
    seconds = np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ
    echo = random.standard_normal(CLIP_SAMPLES)
    echo *= 10 ** (-3 * seconds / speaker.reverberation_seconds)
    echo[seconds < _MIN_ECHO_SECONDS] = 0
    echo *= _ratio(speaker.echo_db) / np.sqrt(np.sum(echo**2))
    echo[0] = 1
    hz = np.fft.rfftfreq(2 * CLIP_SAMPLES, 1 / SAMPLE_RATE_HZ)
    tilt = _ratio(speaker.tilt_db * np.log2(np.maximum(hz, 100) / 1000))
    low_cut = hz**2 / (hz**2 + speaker.low_cut_hz**2)
    return np.fft.rfft(echo, 2 * CLIP_SAMPLES) * tilt * low_cut


def _ratio(decibels):
    return 10 ** (decibels / 20)
