"""Clips of equal length held in memory."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from swr_keras.audio.audio import AudioError, fit_length

INT16_SCALE = 32768.0
_MAX_THREADS = 8


@dataclass(frozen=True)
class Split:
    """The clips of one split.

    Attributes:
        audio: Int16 `(clips, samples)`, full scale 32768.
        labels: Int32 `(clips,)`.
        names: What each clip is called, usually its path below the data set's folder.
        recorded: Bool `(clips,)`; the others are zeros that stand for silence, to be filled with
            noise. None: those that hold any sound.
        unreadable: Of each clip left out because it can't be used, the file and the reason.
    """

    audio: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    recorded: np.ndarray | None = None
    unreadable: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> "Split":
        """Returns the clips of these rows, in their order."""
        return Split(
            self.audio[rows],
            self.labels[rows],
            tuple(self.names[row] for row in rows),
            recorded=None if self.recorded is None else self.recorded[rows],
        )


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Converts float32 audio in [-1, 1] to int16; exact for samples that came from int16."""
    return np.clip(np.rint(audio * INT16_SCALE), -INT16_SCALE, INT16_SCALE - 1).astype(np.int16)


def decode_clips(
    paths: Sequence[Path], samples: int, read: Callable[[Path], np.ndarray]
) -> tuple[np.ndarray, dict[int, str]]:
    """Decodes many files to one array, each fitted to `samples` samples by `fit_length`.

    Args:
        paths: The files.
        samples: Length of a clip.
        read: Reads one file to float32 `(any,)`, raising `AudioError` for a bad one.

    Returns:
        Int16 `(len(paths), samples)`, in the order of `paths`, and by row what is wrong with a bad
        file, whose clip is zeros.
    """
    clips = np.zeros((len(paths), samples), np.int16)
    decode = partial(_decode_into, clips, paths, read)
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        errors = list(pool.map(decode, range(len(paths))))
    return clips, {row: error for row, error in enumerate(errors) if error}


def _decode_into(
    clips: np.ndarray, paths: Sequence[Path], read: Callable[[Path], np.ndarray], row: int
) -> str | None:
    try:
        clips[row] = to_int16(fit_length(read(paths[row]), clips.shape[1]))
    except AudioError as error:
        return str(error)
    return None
