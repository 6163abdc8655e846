"""Keyword data sets in the folder layout of Google Speech Commands."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swr_keras.data.audio import AudioError, read_audio
from swr_keras.data.clips import Split, decode_clips
from swr_keras.data.messages import first_few
from swr_keras.data.splits import SPLITS, assign_splits, check_speakers

SILENCE = "_silence_"
UNKNOWN = "_unknown_"
_NOISE_FOLDER = "_background_noise_"
_SUFFIXES = (".wav", ".flac")
_SILENCE_SHARE = 0.1


class SpeechCommands:
    """A folder of `<word>/<speaker>_nohash_<n>.wav` (or `.flac`) as a keyword data set.

    The constructor looks at names only and checks all that needs no decoding; `load` decodes.
    The benchmark's 12 classes: `keywords` = its ten words, `unknown_cap=0.1`. Then every split
    holds as many unknown as silence clips, a tenth of its keyword clips each.

    Source: Google Speech Commands (arXiv 1804.03209), BC-ResNet (arXiv 2106.04140).

    Args:
        folder: holds the word folders, `_background_noise_`, and, optionally, the split lists.
            Other folders that start with `_` are ignored.
        keywords: words with a class of their own, in class order. None: every word that isn't in
            `unknown_words`, sorted.
        unknown_words: words of the class `_unknown_`. None: every word left over by `keywords`.
            `()`: no such class.
        unknown_cap: keep at most this share of a split's number of keyword clips as unknown
            clips, drawn at `seed`. None keeps all.
        silence: add the class `_silence_`: all-zero clips, a tenth of a split's keyword clips.
        sample_rate_hz: rate of the loaded audio, in Hz.
        clip_seconds: length of every clip; longer ones keep their centre, shorter ones are padded.
        resample: convert files recorded at another rate.
        reader: see `read_audio`.
        seed: of the draw of unknown clips.

    Attributes:
        labels: class names: `_silence_`, `_unknown_` (each where it exists), then the keywords.

    Raises:
        ValueError: a folder, a word, a list entry or the noise is missing, a keyword has no
            training clip, or splits overlap in a file or a speaker.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keywords: Sequence[str] | None = None,
        unknown_words: Sequence[str] | None = None,
        unknown_cap: float | None = None,
        silence: bool = True,
        sample_rate_hz: int = 16000,
        clip_seconds: float = 1.0,
        resample: bool = False,
        reader: str = "soundfile",
        seed: int = 0,
    ) -> None:
        if unknown_cap is not None and unknown_cap <= 0:
            raise ValueError(
                f"unknown_cap must be positive. Received: unknown_cap={unknown_cap}. "
                "Use unknown_words=() for no unknown class."
            )
        self.folder = Path(folder)
        self.sample_rate_hz = sample_rate_hz
        self.samples = round(sample_rate_hz * clip_seconds)
        self._resample = resample
        self._reader = reader
        self._silence = silence
        files = _files_by_word(self.folder)
        self._keywords, self._unknown_words = _choose_words(files, keywords, unknown_words)
        self.labels = (
            *([SILENCE] if silence else []),
            *([UNKNOWN] if self._unknown_words else []),
            *self._keywords,
        )
        self._names = self._names_by_split(files, unknown_cap, seed)
        self._noise_files = _audio_files(self.folder / _NOISE_FOLDER)
        if silence and not self._noise_files:
            raise ValueError(
                f"The silence class needs recordings in {self.folder / _NOISE_FOLDER}; none found. "
                "Copy the folder from Speech Commands, or pass silence=False."
            )

    def load(self, split: str) -> Split:
        """Decodes a split.

        Args:
            split: `"training"`, `"validation"` or `"testing"`.

        Returns:
            Words in the order of their names, then silence.

        Raises:
            AudioError: some clips are bad; one error names the first five and their number.
            ValueError: the split is unknown or empty.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {SPLITS}. Received: split={split!r}.")
        names = self._names[split]
        if not names:
            counts = {split: len(names) for split, names in self._names.items()}
            raise ValueError(f"The {split} split of {self.folder} is empty. Clips: {counts}.")
        audio = decode_clips([self.folder / name for name in names], self.samples, self._read)
        labels = [self._label_of(name) for name in names]
        if self._silence:
            keyword_clips = sum(_word_of(name) in self._keywords for name in names)
            silence = [f"{SILENCE}/{row}" for row in range(_share(keyword_clips, _SILENCE_SHARE))]
            audio = np.pad(audio, ((0, len(silence)), (0, 0)))
            labels += [self.labels.index(SILENCE)] * len(silence)
            names = (*names, *silence)
        return Split(audio, np.array(labels, np.int32), names)

    def noise(self) -> tuple[np.ndarray, ...]:
        """Reads the background recordings: float32 `(samples,)` each, at least a clip long.

        Empty where there is no `_background_noise_`, which only `silence=False` allows.

        Raises:
            AudioError: a recording is bad or shorter than a clip.
        """
        recordings = tuple(self._read(path) for path in self._noise_files)
        for path, recording in zip(self._noise_files, recordings, strict=True):
            if len(recording) < self.samples:
                raise AudioError(
                    f"{path}: the noise holds {len(recording)} samples, expected at least a clip's "
                    f"{self.samples}. Use a longer recording or shorter clips."
                )
        return recordings

    def _read(self, path: Path) -> np.ndarray:
        return read_audio(path, self.sample_rate_hz, resample=self._resample, reader=self._reader)

    def _label_of(self, name: str) -> int:
        word = _word_of(name)
        return self.labels.index(word if word in self._keywords else UNKNOWN)

    def _names_by_split(
        self, files: dict[str, tuple[str, ...]], unknown_cap: float | None, seed: int
    ) -> dict[str, tuple[str, ...]]:
        splits = assign_splits(self.folder, {name for names in files.values() for name in names})
        used = [name for word in (*self._keywords, *self._unknown_words) for name in files[word]]
        check_speakers({name: splits[name] for name in used})
        trained = {_word_of(name) for name in used if splits[name] == "training"}
        untrained = [word for word in self._keywords if word not in trained]
        if untrained:
            raise ValueError(
                f"Keywords without a training clip: {first_few(untrained)}\n"
                "Record more speakers, or take files out of the split lists."
            )
        return {
            split: self._capped([n for n in used if splits[n] == split], unknown_cap, [seed, index])
            for index, split in enumerate(SPLITS)
        }

    def _capped(
        self, names: list[str], unknown_cap: float | None, seed: list[int]
    ) -> tuple[str, ...]:
        keyword = [name for name in names if _word_of(name) in self._keywords]
        unknown = sorted(name for name in names if _word_of(name) in self._unknown_words)
        if unknown_cap is not None:
            kept = min(len(unknown), _share(len(keyword), unknown_cap))
            unknown = np.random.default_rng(seed).permutation(unknown)[:kept].tolist()
        return tuple(sorted(keyword + unknown))


def _files_by_word(folder: Path) -> dict[str, tuple[str, ...]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. Pass the folder that holds the word folders.")
    words = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "_."
    )
    files = {
        word: tuple(f"{word}/{path.name}" for path in _audio_files(folder / word)) for word in words
    }
    if not any(files.values()):
        raise ValueError(
            f"{folder} holds no word folder with WAV or FLAC files. "
            f"Expected <word>/<speaker>_nohash_<n>.wav. Found folders: {words}."
        )
    return files


def _audio_files(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
        )
    )


def _choose_words(
    files: dict[str, tuple[str, ...]],
    keywords: Sequence[str] | None,
    unknown_words: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    available = [word for word, names in files.items() if names]
    if keywords is None:
        keywords = [word for word in available if word not in (unknown_words or ())]
        unknown_words = unknown_words or ()
    elif unknown_words is None:
        unknown_words = [word for word in available if word not in keywords]
    chosen = [*keywords, *unknown_words]
    missing = [word for word in chosen if word not in available]
    if missing:
        raise ValueError(
            f"Words without a folder or without clips: {first_few(missing)}\n"
            f"Words with clips: {', '.join(available)}."
        )
    twice = sorted({word for word in chosen if chosen.count(word) > 1})
    if twice:
        raise ValueError(f"Words given more than once: {first_few(twice)}\nName each word once.")
    if not keywords:
        raise ValueError("No keyword is left. Name at least one, or fewer unknown_words.")
    return tuple(keywords), tuple(unknown_words)


def _word_of(name: str) -> str:
    return name.split("/", 1)[0]


def _share(count: int, share: float) -> int:
    """Rounds up, as the 12-class benchmark does; not on the rounding error of the product."""
    return math.ceil(round(count * share, 6))
