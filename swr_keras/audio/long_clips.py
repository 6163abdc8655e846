"""Which part of a recording that is longer than a clip becomes the clip."""

import numpy as np

from swr_keras.audio.audio import AudioError, fit_length

LONG_CLIPS = ("refuse", "centre", "first", "loudest")
_LONG = 1.5
_STEPS = 100


def cut(audio: np.ndarray, samples: int, long_clips: str, name: str) -> np.ndarray:
    """Returns `samples` samples: a part of a longer recording, a shorter one zero-padded.

    Args:
        audio: Float32 `(any,)`.
        samples: Length of a clip.
        long_clips: `"first"` keeps the start, `"loudest"` the window of most energy, in steps of
            a hundredth of a clip, `"centre"` the centre. `"refuse"` does so too, up to one and a
            half times the length, since a word may lie anywhere in a longer recording.
        name: Of the recording, for messages.

    Raises:
        AudioError: If the recording is too long for `"refuse"`.
    """
    if len(audio) <= samples or long_clips == "centre":
        return fit_length(audio, samples)
    if long_clips == "first":
        return audio[:samples]
    if long_clips == "loudest":
        start = _loudest(audio, samples)
        return audio[start : start + samples]
    if len(audio) > _LONG * samples:
        raise AudioError(
            f"{name}: the recording holds {len(audio)} samples, more than {_LONG} times a clip's "
            f"{samples}, so its word may lie outside of the clip. Cut it, or pass "
            'long_clips="loudest", "first" or "centre".'
        )
    return fit_length(audio, samples)


def check_long_clips(long_clips: str) -> None:
    """Refuses an unknown choice.

    Raises:
        ValueError: If it is none of `LONG_CLIPS`.
    """
    if long_clips not in LONG_CLIPS:
        raise ValueError(
            f"long_clips must be one of {LONG_CLIPS}. Received: long_clips={long_clips!r}."
        )


def _loudest(audio: np.ndarray, samples: int) -> int:
    step = max(1, samples // _STEPS)
    blocks = audio[: len(audio) // step * step].reshape(-1, step)
    energy = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64)
    start = step * int(np.convolve(energy, np.ones(samples // step), "valid").argmax())
    return min(start, len(audio) - samples)
