"""Background recordings of the synthetic corpus."""

from collections.abc import Callable, Sequence

import numpy as np

from swr_keras.audio.synthetic_channel import SAMPLE_RATE_HZ, coloured_noise

NOISE_SECONDS = 30
_SAMPLES = NOISE_SECONDS * SAMPLE_RATE_HZ
_POWER = 0.1**2
_MAX_PEAK = 0.9
_TALKERS = 12


def background_noises(
    clips: Sequence[np.ndarray], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Makes 30 s of each kind of noise, at 16 kHz.

    Args:
        clips: Speech for the babble, float32 `(16000,)` each.
        random: Source of all.

    Returns:
        Float32 `(480000,)` in [-0.9, 0.9] by name.
    """
    noises = {name: make(random) for name, make in _KINDS.items()}
    noises["babble"] = _babble(clips, random)
    return {name: _levelled(noise) for name, noise in noises.items()}


def _white(random: np.random.Generator) -> np.ndarray:
    return coloured_noise(_SAMPLES, 0, random)


def _pink(random: np.random.Generator) -> np.ndarray:
    return coloured_noise(_SAMPLES, 1, random)


def _wind(random: np.random.Generator) -> np.ndarray:
    gusts = np.exp(0.8 * _slow(random, seconds=1.0))
    return coloured_noise(_SAMPLES, 2, random) * gusts


def _hum(random: np.random.Generator) -> np.ndarray:
    """Mains at 50 Hz with its harmonics."""
    tones = np.zeros(_SAMPLES)
    for harmonic in range(1, 21):
        level, phase = random.uniform(0.2, 1) / harmonic, random.uniform(0, 2 * np.pi)
        tones += level * np.sin(2 * np.pi * 50 * harmonic * _time() + phase)
    return tones + 0.05 * coloured_noise(_SAMPLES, 0, random)


def _fan(random: np.random.Generator) -> np.ndarray:
    """Air, swelling with every blade, and the tone of a motor that drifts."""
    blades = 1 + 0.5 * np.sin(2 * np.pi * 23 * _time())
    motor = np.sin(2 * np.pi * 310 * _time() + 3 * np.cumsum(_slow(random, 0.5)) / SAMPLE_RATE_HZ)
    return coloured_noise(_SAMPLES, 1.2, random) * blades + 0.3 * motor


def _tap_water(random: np.random.Generator) -> np.ndarray:
    """Rising noise whose level flickers."""
    return coloured_noise(_SAMPLES, -0.5, random) * np.exp(0.4 * _slow(random, seconds=0.03))


def _knocks(random: np.random.Generator) -> np.ndarray:
    """Clicks, taps and knocks: resonances of 2 to 40 ms, three a second."""
    audio = 0.01 * coloured_noise(_SAMPLES, 1, random)
    seconds = np.arange(SAMPLE_RATE_HZ // 4) / SAMPLE_RATE_HZ
    for start in random.integers(0, _SAMPLES - len(seconds), 3 * NOISE_SECONDS):
        decay = np.exp(-seconds / np.exp(random.uniform(np.log(0.002), np.log(0.04))))
        tones = np.sin(2 * np.pi * random.uniform(200, 4000, (3, 1)) * seconds).sum(0)
        audio[start : start + len(seconds)] += random.uniform(0.2, 1) * decay * tones
    return audio


def _babble(clips: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    audio = 0.01 * coloured_noise(_SAMPLES, 1, random)
    for _ in range(_TALKERS):
        start = random.integers(SAMPLE_RATE_HZ // 2)
        while start + len(clip := clips[int(random.integers(len(clips)))]) <= _SAMPLES:
            audio[start : start + len(clip)] += clip / np.sqrt(np.mean(clip**2))
            start += len(clip) // 2 + random.integers(len(clip) // 4)
    return audio


def _time() -> np.ndarray:
    return np.arange(_SAMPLES) / SAMPLE_RATE_HZ


def _slow(random: np.random.Generator, seconds: float) -> np.ndarray:
    """Unit-power fluctuation that takes about so long to change."""
    knots = random.standard_normal(int(NOISE_SECONDS / seconds) + 2)
    return np.interp(_time() / seconds, np.arange(len(knots)), knots)


def _levelled(noise: np.ndarray) -> np.ndarray:
    gain = min(np.sqrt(_POWER / np.mean(noise**2)), _MAX_PEAK / np.abs(noise).max())
    return (gain * noise).astype(np.float32)


_KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "white_noise": _white,
    "pink_noise": _pink,
    "wind": _wind,
    "hum": _hum,
    "fan": _fan,
    "tap_water": _tap_water,
    "knocks": _knocks,
}
