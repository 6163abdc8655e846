"""The Mandarin keyword corpus of MagicHub, which the paper calls MC-KWS."""

import csv
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from swr_keras.audio.keyword_corpus import (
    UNKNOWN,
    ClipList,
    KeywordCorpus,
    audio_files,
    class_labels,
)
from swr_keras.audio.regular_files import read_text
from swr_keras.audio.splits import SPLITS, Fold, fold_speakers, split_speakers
from swr_keras.files import parse_json
from swr_keras.messages import first_few

_AUDIO_FOLDER = "WAV"
_TABLE = "UTTRANSINFO.txt"
_COLUMNS = ("UTTRANS_ID", "SPEAKER_ID", "TRANSCRIPTION")
_WORDS_FILE = "words.json"
_WORD_LISTS = ("keywords", "unknown", "ignored")
_TRANSCRIPTIONS_SHOWN = 100


class MandarinKWS(KeywordCorpus):
    """MagicHub's "Mandarin Chinese Scripted Speech Corpus - Keyword Spotting" as a data set.

    The corpus holds `WAV/<speaker>/<utterance>.wav` at 48 kHz and `UTTRANSINFO.txt`, a table of
    utterances, speakers and transcriptions; nothing else of it is read. Which transcriptions are
    keywords stands in a file of your own:

        {"keywords": ["..."], "unknown": ["..."], "ignored": ["..."]}

    The constructor looks at names only and checks all that needs no decoding; `load` decodes and
    converts to `sample_rate_hz`. Every speaker is in one split; of 37 speakers 25 train, 6 validate
    and 6 test, drawn at `seed`.

    Source: arXiv 2302.13435, section on keyword spotting.

    Args:
        folder: Of the unpacked corpus.
        words_file: JSON as above, transcriptions as the table writes them. None: `words.json` in
            `folder`.
        noise_folder: Background recordings: `_background_noise_` of Speech Commands. None only
            without silence.
        unknown_cap: Keep at most this share of a split's number of keyword clips as unknown
            clips, drawn at `seed`. None keeps all.
        silence: Add the class `_silence_`: all-zero clips, a tenth of a split's keyword clips.
        sample_rate_hz: Rate of the loaded audio, in Hz.
        clip_seconds: Length of every clip; shorter recordings are padded.
        long_clips: What becomes of longer recordings: `"loudest"` keeps the window of most energy,
            `"first"` the start, `"centre"` the centre; `"refuse"` keeps the centre too, but
            refuses those of more than one and a half times `clip_seconds`.
        reader: See `read_audio`.
        skip_unreadable: Leave out the clips that can't be used instead of refusing the split;
            `Split.unreadable` names them. Others don't take their place.
        fold: Fold of a cross-validation over speakers, see `splits.fold_speakers`, instead of a
            draw of them.
        seed: Of the draws of speakers and of unknown clips.

    Attributes:
        folder: Of the data set.
        labels: Class names: `_silence_`, `_unknown_` (each where it exists), then the keywords.
        sample_rate_hz: Rate of the loaded audio, in Hz.
        samples: Length of a clip.

    Raises:
        ValueError: If a folder, the table, the words file or the noise is missing; table and files
            disagree; the words file leaves a transcription out, names one twice or one that
            doesn't exist; there are fewer than three speakers; a keyword has no training clip.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        words_file: str | os.PathLike[str] | None = None,
        noise_folder: str | os.PathLike[str] | None = None,
        unknown_cap: float | None = None,
        silence: bool = True,
        sample_rate_hz: int = 16000,
        clip_seconds: float = 2.24,
        long_clips: str = "refuse",
        reader: str = "soundfile",
        skip_unreadable: bool = False,
        fold: Fold | None = None,
        seed: int = 0,
    ) -> None:
        if silence and noise_folder is None:
            raise ValueError(
                "The silence class needs background recordings. Received: noise_folder=None. "
                "Pass the folder _background_noise_ of Speech Commands as noise_folder, or "
                "pass silence=False."
            )
        folder = Path(folder)
        utterances = _read_table(folder)
        files = _check_files(folder, utterances)
        words = _read_words(Path(words_file or folder / _WORDS_FILE), _count(utterances))
        class_of = dict.fromkeys(words["unknown"], UNKNOWN) | {w: w for w in words["keywords"]}
        speakers = {utterance.speaker for utterance in utterances}
        split_of = fold_speakers(speakers, fold) if fold else split_speakers(speakers, seed)
        clips: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
        for utterance in utterances:
            if utterance.word in class_of:
                names = clips[split_of[utterance.speaker]]
                names[files[utterance.key]] = class_of[utterance.word]
        super().__init__(
            folder,
            class_labels(words["keywords"], unknown=bool(words["unknown"]), silence=silence),
            {split: ClipList(folder, classes) for split, classes in clips.items()},
            noise_folder=None if noise_folder is None else Path(noise_folder),
            unknown_cap=unknown_cap,
            sample_rate_hz=sample_rate_hz,
            clip_seconds=clip_seconds,
            long_clips=long_clips,
            resample=True,
            reader=reader,
            skip_unreadable=skip_unreadable,
            seed=seed,
        )

    @staticmethod
    def transcriptions(folder: str | os.PathLike[str]) -> dict[str, int]:
        """Returns the number of utterances by transcription, to write the words file from.

        Args:
            folder: Of the unpacked corpus.

        Raises:
            ValueError: If the table is missing or can't be used.
        """
        return _count(_read_table(Path(folder)))


class _Utterance(NamedTuple):
    speaker: str
    id: str
    word: str

    @property
    def key(self) -> str:
        """Place of the recording below the audio folder, without its ending."""
        return f"{self.speaker}/{self.id}"


def _read_table(folder: Path) -> list[_Utterance]:
    path = folder / _TABLE
    if not path.is_file():
        raise ValueError(
            f"{path} doesn't exist. Pass the folder of the unpacked corpus, which holds {_TABLE} "
            f"and {_AUDIO_FOLDER}/<speaker>/<utterance>.wav."
        )
    lines = read_text(path).split("\n")
    rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    header = [re.sub(r"\W|_", "", name).upper() for name in rows[0]]
    wanted = [column.replace("_", "") for column in _COLUMNS]
    if not set(wanted) <= set(header):
        raise ValueError(
            f"{path} must have the columns {', '.join(_COLUMNS)}, separated by tabs, named in its "
            f"first line. Received: {rows[0]}."
        )
    places = [header.index(column) for column in wanted]
    utterances, bad_lines = [], []
    for number, row in enumerate(rows[1:], start=2):
        fields = [row[place].strip() if place < len(row) else "" for place in places]
        name, speaker, word = fields
        if all(fields):
            utterances.append(_Utterance(speaker, re.sub(r"(?i)\.wav$", "", name), word))
        elif any(field.strip() for field in row):
            bad_lines.append(f"line {number}: {dict(zip(_COLUMNS, fields, strict=True))}")
    if bad_lines:
        raise ValueError(
            f"Lines of {path} that lack a value: {first_few(bad_lines)}\nComplete or remove them."
        )
    if not utterances:
        raise ValueError(f"{path} lists no utterance. Unpack the corpus again.")
    return utterances


def _count(utterances: Sequence[_Utterance]) -> dict[str, int]:
    return dict(sorted(Counter(utterance.word for utterance in utterances).items()))


def _check_files(folder: Path, utterances: Sequence[_Utterance]) -> dict[str, str]:
    """Returns the name of each utterance's file below `folder`, having compared table and files."""
    audio = folder / _AUDIO_FOLDER
    speakers = sorted(path for path in audio.iterdir() if path.is_dir()) if audio.is_dir() else []
    files = {
        f"{speaker.name}/{path.stem}": f"{_AUDIO_FOLDER}/{speaker.name}/{path.name}"
        for speaker in speakers
        for path in audio_files(speaker, [".wav"])
    }
    listed = Counter(utterance.key for utterance in utterances)
    _refuse(
        {
            f"Utterances of {folder / _TABLE} without a file in {audio}": [
                key for key in listed if key not in files
            ],
            f"Utterances that {folder / _TABLE} lists more than once": [
                key for key, lines in listed.items() if lines > 1
            ],
            f"Files that {folder / _TABLE} doesn't list": [
                name for key, name in files.items() if key not in listed
            ],
        },
        "Unpack the corpus again, or make table and files agree.",
    )
    return files


def _read_words(path: Path, counts: Mapping[str, int]) -> dict[str, list[str]]:
    example = '{"keywords": ["..."], "unknown": ["..."], "ignored": ["..."]}'
    if not path.is_file():
        lines = [f"{word} ({count} utterances)" for word, count in counts.items()]
        raise ValueError(
            f"{path} doesn't exist. Write it as JSON that names each transcription in one list:\n"
            f"  {example}\nTranscriptions of the corpus: {first_few(lines, _TRANSCRIPTIONS_SHOWN)}"
        )
    text = read_text(path)
    try:
        words = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in UTF-8, {example}: {error}.") from error
    if not _are_word_lists(words):
        raise ValueError(f"{path} must hold lists of words, {example}. Received: {words!r:.200}.")
    words = {name: [word.strip() for word in words.get(name, [])] for name in _WORD_LISTS}
    named = Counter(word for name in _WORD_LISTS for word in words[name])
    _refuse(
        {
            f"Words that {path} names more than once": [
                f"{word} ({', '.join(name for name in _WORD_LISTS if word in words[name])})"
                for word, times in named.items()
                if times > 1
            ],
            f"Words of {path} that no utterance has": [w for w in named if w not in counts],
            f"Transcriptions that {path} doesn't name": [
                f"{word} ({count} utterances)"
                for word, count in counts.items()
                if word not in named
            ],
        },
        f"Name each transcription once: {example}.",
    )
    if not words["keywords"]:
        raise ValueError(f"{path} names no keyword. Name at least one: {example}.")
    return words


def _are_word_lists(words: object) -> bool:
    return (
        isinstance(words, dict)
        and words.keys() <= set(_WORD_LISTS)
        and all(
            isinstance(named, list) and all(isinstance(word, str) for word in named)
            for named in words.values()
        )
    )


def _refuse(problems: Mapping[str, Sequence[str]], remedy: str) -> None:
    found = [f"{problem}: {first_few(items)}" for problem, items in problems.items() if items]
    if found:
        raise ValueError("\n".join([*found, remedy]))
