"""What keyword data sets share: classes, shares of unknown and silence, decoding, noise."""

import math
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from swr_keras.audio.audio import MIN_CLIP_SECONDS, AudioError, read_audio
from swr_keras.audio.clips import Split, decode_clips
from swr_keras.audio.long_clips import check_long_clips, cut
from swr_keras.audio.repeats import Repeats
from swr_keras.audio.splits import SPLITS
from swr_keras.messages import first_few, legible

SILENCE = "_silence_"
UNKNOWN = "_unknown_"
_SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
_MAX_CLIP_SECONDS = 60.0
_SILENCE_SHARE = 0.1


@dataclass(frozen=True)
class ClipList:
    """The recordings of one split.

    Attributes:
        folder: What the names are relative to.
        classes: Class by name.
        complete: The list has its own silence and its own number of unknown clips.
    """

    folder: Path
    classes: Mapping[str, str]
    complete: bool = False


class KeywordCorpus:
    """Base of the keyword data sets: subclasses find the clips, this class loads them.

    Args:
        folder: Of the data set.
        labels: Class names, see `class_labels`.
        clips: The recordings, by split. Where a list isn't `complete`, `unknown_cap` holds and
            silence is added.
        noise_folder: Background recordings; None for none.
        unknown_cap: Keep at most this share of a split's number of keyword clips as unknown
            clips, drawn at `seed`. None keeps all.
        sample_rate_hz, clip_seconds: Rate and length of every clip.
        long_clips: See `long_clips.cut`.
        resample, reader: See `read_audio`.
        skip_unreadable: Leave out the clips that can't be used.
        seed: Of the draw of unknown clips.

    Attributes:
        folder: Of the data set.
        labels: Class names.
        sample_rate_hz: Rate of the loaded audio, in Hz.
        samples: Length of a clip.
        notes: What a reader of results must know of the recordings.

    Raises:
        ValueError: If the noise is missing, a keyword has no training clip or `clip_seconds` or
            `unknown_cap` is out of range.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        labels: Sequence[str],
        clips: Mapping[str, ClipList],
        *,
        noise_folder: Path | None,
        unknown_cap: float | None,
        sample_rate_hz: int,
        clip_seconds: float,
        long_clips: str,
        resample: bool,
        reader: str,
        skip_unreadable: bool,
        seed: int,
    ) -> None:
        if not MIN_CLIP_SECONDS <= clip_seconds <= _MAX_CLIP_SECONDS:
            raise ValueError(
                f"clip_seconds must be {MIN_CLIP_SECONDS} to {_MAX_CLIP_SECONDS:g}. "
                f"Received: clip_seconds={clip_seconds}."
            )
        if unknown_cap is not None and not 0 < unknown_cap < math.inf:
            raise ValueError(
                f"unknown_cap must be positive and finite. Received: unknown_cap={unknown_cap}. "
                "Name no unknown words for no unknown class."
            )
        check_long_clips(long_clips)
        self.folder = folder
        self.labels = tuple(labels)
        self.sample_rate_hz = sample_rate_hz
        self.samples = round(sample_rate_hz * clip_seconds)
        self._long_clips = long_clips
        self._repeats = Repeats()
        self._resample = resample
        self._reader = reader
        self._skip_unreadable = skip_unreadable
        self._noise_files = audio_files(noise_folder) if noise_folder else ()
        trained = set(clips["training"].classes.values())
        untrained = [label for label in self.labels if is_keyword(label) and label not in trained]
        if untrained:
            raise ValueError(
                f"Keywords without a training clip: {first_few(untrained)}\n"
                "Give them training clips, or make them unknown words."
            )
        self._clips = {
            split: _capped(clips[split], unknown_cap, [seed, index])
            for index, split in enumerate(SPLITS)
        }
        needs_noise = any(
            self._silence_to_add(clips.classes.values(), clips) for clips in self._clips.values()
        )
        if needs_noise and not self._noise_files:
            raise ValueError(
                f"The silence class needs recordings in {noise_folder}; none found. "
                "Copy the folder from Speech Commands, or pass silence=False."
            )

    def load(self, split: str) -> Split:
        """Decodes a split.

        Args:
            split: `"training"`, `"validation"` or `"testing"`.

        Returns:
            Recordings in the order of their names, then all-zero clips for silence. With
            `skip_unreadable`, clips that can't be used are in `unreadable` instead.

        Raises:
            AudioError: If some clips are bad (one error names the first five and their number), or,
                with `skip_unreadable`, all clips of a class.
            ValueError: If the split is unknown or empty.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}. Received: split={split!r}.")
        clips = self._clips[split]
        if not clips.classes:
            counts = {split: len(clips.classes) for split, clips in self._clips.items()}
            raise ValueError(
                f"The {split} split of {self.folder} is empty. Clips: {counts}. Add recordings, "
                "or write the lists."
            )
        names = tuple(sorted(clips.classes))
        paths = [clips.folder / name for name in names]
        audio, errors = decode_clips(paths, self.samples, self._read_clip)
        errors |= self._repeats.find(split, names, clips.classes, audio)
        if errors:
            audio = np.delete(audio, list(errors), axis=0)
            names = self._readable(names, clips.classes, errors)
        labels = [clips.classes[name] for name in names]
        _check_sound(names, labels, audio)
        silence = self._silence_to_add(labels, clips)
        return Split(
            np.pad(audio, ((0, silence), (0, 0))),
            np.array([self.labels.index(x) for x in [*labels, *[SILENCE] * silence]], np.int32),
            (*map(legible, names), *(f"{SILENCE}/{row}" for row in range(silence))),
            recorded=np.arange(len(names) + silence) < len(names),
            unreadable=tuple(errors[row] for row in sorted(errors)),
        )

    def noise(self, folder: str | os.PathLike[str] | None = None) -> tuple[np.ndarray, ...]:
        """Reads the background recordings: float32 `(samples,)` each, at least a clip long.

        Args:
            folder: Reads those of this folder instead of the data set's, which are none where
                `silence=False` allows it.

        Raises:
            AudioError: If a recording is bad, without any sound or shorter than a clip.
            ValueError: If there are none in `folder`.
        """
        files = self._noise_files if folder is None else audio_files(Path(folder))
        if folder is not None and not files:
            raise ValueError(f"'{folder}' holds no recordings of noise. Give a folder that does.")
        recordings = tuple(self._read(path) for path in files)
        for path, recording in zip(files, recordings, strict=True):
            if (recording == recording[0]).all():
                raise AudioError(
                    f"{legible(str(path))}: the noise holds no sound. Remove it or record it again."
                )
            if len(recording) < self.samples:
                raise AudioError(
                    f"{legible(str(path))}: the noise holds {len(recording)} samples, expected at "
                    f"least a clip's {self.samples}. Use a longer recording or shorter clips."
                )
        return recordings

    def _silence_to_add(self, labels: Collection[str], clips: ClipList) -> int:
        """Returns how many clips of silence lack to a tenth of the keywords'."""
        if SILENCE not in self.labels or clips.complete:
            return 0
        own = sum(label == SILENCE for label in labels)
        return max(0, share(sum(map(is_keyword, labels)), _SILENCE_SHARE) - own)

    def _read_clip(self, path: Path) -> np.ndarray:
        return cut(self._read(path), self.samples, self._long_clips, legible(str(path)))

    def _read(self, path: Path) -> np.ndarray:
        return read_audio(path, self.sample_rate_hz, resample=self._resample, reader=self._reader)

    def _readable(
        self, names: Sequence[str], classes: Mapping[str, str], errors: Mapping[int, str]
    ) -> tuple[str, ...]:
        if not self._skip_unreadable:
            raise AudioError(
                f"{len(errors)} of {len(names)} clips can't be used: {first_few(errors.values())}\n"
                "Mend them, or pass skip_unreadable=True to leave them out."
            )
        readable = tuple(name for row, name in enumerate(names) if row not in errors)
        lost = set(classes.values()) - {classes[name] for name in readable}
        if lost:
            raise AudioError(
                f"Classes of which no clip can be used: {first_few(sorted(lost))}\n"
                f"Clips that can't be used: {first_few(errors.values())}\nMend them."
            )
        return readable


def _check_sound(names: Sequence[str], labels: Sequence[str], audio: np.ndarray) -> None:
    constant = (audio == audio[:, :1]).all(axis=1)
    silent = [row for row in np.flatnonzero(constant).tolist() if labels[row] != SILENCE]
    sounding = {label for label, still in zip(labels, constant, strict=True) if not still}
    lost = sorted({labels[row] for row in silent} - sounding)
    if lost:
        raise AudioError(
            f"Classes of which no clip holds any sound: {first_few(lost)}\n"
            "Record them again, or cut longer recordings around the word."
        )
    if silent:
        warnings.warn(
            "Clips without any sound under a word's label: "
            f"{first_few(names[row] for row in silent)}\n"
            "Remove them, or cut longer recordings around the word.",
            stacklevel=3,
        )


def class_labels(keywords: Sequence[str], *, unknown: bool, silence: bool) -> tuple[str, ...]:
    """Returns `_silence_`, `_unknown_` (each where it exists), then the keywords."""
    return (*([SILENCE] if silence else []), *([UNKNOWN] if unknown else []), *keywords)


def is_keyword(label: str) -> bool:
    """Tells a keyword from the other two classes."""
    return label not in (SILENCE, UNKNOWN)


def audio_files(folder: Path, suffixes: Sequence[str] = _SUFFIXES) -> tuple[Path, ...]:
    """Returns the audio files of a folder, sorted, without hidden ones; none where it's missing."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in suffixes and not path.name.startswith(".")
        )
    )


def share(count: int, share: float) -> int:
    """Rounds up, as the 12-class benchmark does; not on the rounding error of the product."""
    return math.ceil(round(count * share, 6))


def _capped(clips: ClipList, cap: float | None, seed: list[int]) -> ClipList:
    if cap is None or clips.complete:
        return clips
    unknown = sorted(name for name, label in clips.classes.items() if label == UNKNOWN)
    kept = min(len(unknown), share(sum(map(is_keyword, clips.classes.values())), cap))
    dropped = set(np.random.default_rng(seed).permutation(unknown)[kept:].tolist())
    classes = {name: label for name, label in clips.classes.items() if name not in dropped}
    return replace(clips, classes=classes)
