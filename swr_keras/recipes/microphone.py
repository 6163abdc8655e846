"""The microphone, by way of the package sounddevice."""

import warnings
from collections.abc import Iterator
from types import ModuleType

import numpy as np

_BLOCK_SECONDS = 0.1


def microphone(sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Yields what the default microphone hears, without end.

    Warns where it isn't read as fast as it hears, so that audio is lost.

    Args:
        sample_rate_hz: Rate of the audio, in Hz.

    Returns:
        Blocks of 0.1 s, float32 `(samples,)` in [-1, 1].

    Raises:
        ImportError: If sounddevice or PortAudio isn't installed.
        ValueError: If there is no microphone, or it can't record at this rate.
    """
    sounddevice = _sounddevice()
    samples = round(_BLOCK_SECONDS * sample_rate_hz)
    try:
        with sounddevice.InputStream(
            samplerate=sample_rate_hz, channels=1, dtype="float32", blocksize=samples
        ) as stream:
            while True:
                block, overflowed = stream.read(samples)
                if overflowed:
                    warnings.warn(
                        "Audio was lost: this machine computes more slowly than it hears. Pass a "
                        "larger --stride.",
                        stacklevel=2,
                    )
                yield block[:, 0]
    except sounddevice.PortAudioError as error:
        raise ValueError(
            f"The microphone can't be used at {sample_rate_hz} Hz ({error}). Connect one, or "
            "give recordings."
        ) from error


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError(
            "The microphone needs the package sounddevice. Install it with: pip install "
            "'swr-keras[microphone]'"
        ) from error
    except OSError as error:
        raise ImportError(
            f"The package sounddevice finds no PortAudio ({error}). Install it, on Debian or "
            "Ubuntu with: apt install libportaudio2"
        ) from error
    return sounddevice
