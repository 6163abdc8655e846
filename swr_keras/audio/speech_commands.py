"""Keyword data sets in the folder layout of Google Speech Commands."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from swr_keras.audio.keyword_corpus import (
    SILENCE,
    UNKNOWN,
    ClipList,
    KeywordCorpus,
    audio_files,
    class_labels,
)
from swr_keras.audio.splits import (
    SPLIT_BY,
    SPLITS,
    Fold,
    assign_splits,
    check_speakers,
    speaker_of,
    split_takes,
)
from swr_keras.messages import first_few, legible

GSC_KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
_NOISE_FOLDER = "_background_noise_"


class SpeechCommands(KeywordCorpus):
    """A folder of `<word>/<speaker>_nohash_<n>.wav` as a keyword data set.

    FLAC, Ogg, MP3 and AIFF are read, too.

    The constructor looks at names only and checks all that needs no decoding; `load` decodes.
    `validation_list.txt` and `testing_list.txt`, where they exist, split the files, whatever their
    names; without them the hash of `<speaker>` does, so every file of a word in use must be named
    like that.

    The benchmark's 12 classes: `keywords=GSC_KEYWORDS`, `unknown_cap=0.1`. Then every split
    holds as many unknown as silence clips, a tenth of its keyword clips each. The benchmark tests
    on an archive of its own, `test_folder`.

    Source: Google Speech Commands (arXiv 1804.03209), BC-ResNet (arXiv 2106.04140).

    Args:
        folder: Holds the word folders, `_background_noise_`, and, optionally, the split lists.
            Clips of a folder `_unknown_`, named like those of a word, are unknown words, and
            clips of `_silence_`, of any name, are silence, which all-zero clips fill up to a
            tenth. Other folders that start with `_` are ignored.
        keywords: Words with a class of their own, in class order. None: every word that isn't in
            `unknown_words`, sorted.
        unknown_words: Words of the class `_unknown_`. None: every word left over by `keywords`.
            `()`: no such class, even where there is a folder of its name.
        unknown_cap: Keep at most this share of a split's number of keyword clips as unknown
            clips, drawn at `seed`. None keeps all.
        silence: Add the class `_silence_`: all-zero clips, a tenth of a split's keyword clips.
        test_folder: Holds a folder for each class, named like it, with the clips of the split
            "testing": all of them, as they are, silence included. The testing part of `folder` is
            then in no split. Unknown clips may be named `<word>_<speaker>_nohash_<n>.wav`, as in
            the published test set.
        split_by: `"speaker"` keeps every speaker in one split. `"take"` splits the clips of each
            word, whoever speaks: for one speaker alone. Lists go before it.
        fold: Fold of a cross-validation over speakers, see `splits.fold_speakers`; goes before
            lists.
        sample_rate_hz: Rate of the loaded audio, in Hz.
        clip_seconds: Length of every clip; shorter recordings are padded.
        long_clips: What becomes of longer recordings: `"loudest"` keeps the window of most energy,
            `"first"` the start, `"centre"` the centre; `"refuse"` keeps the centre too, but
            refuses those of more than one and a half times `clip_seconds`.
        resample: Convert files recorded at another rate.
        reader: See `read_audio`.
        skip_unreadable: Leave out the clips that can't be used instead of refusing the split;
            `Split.unreadable` names them. Others don't take their place.
        seed: Of the draw of unknown clips.

    Attributes:
        folder: Of the data set.
        labels: Class names: `_silence_`, `_unknown_` (each where it exists), then the keywords.
        sample_rate_hz: Rate of the loaded audio, in Hz.
        samples: Length of a clip.
        left_out: What lies in the folder and isn't read: empty word folders, clips beside the
            word folders, nested folders and files of other formats, by name.
        notes: What a reader of results must know: what is left out, and a split by take.

    Raises:
        ValueError: If a folder, a word, a list entry or the noise is missing, a keyword has no
            training clip, splits overlap in a file or a speaker, there are no lists and a name
            doesn't tell the speaker or there is only one, or `test_folder` has other classes than
            the data set.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keywords: Sequence[str] | None = None,
        unknown_words: Sequence[str] | None = None,
        unknown_cap: float | None = None,
        silence: bool = True,
        test_folder: str | os.PathLike[str] | None = None,
        split_by: str = "speaker",
        fold: Fold | None = None,
        sample_rate_hz: int = 16000,
        clip_seconds: float = 1.0,
        long_clips: str = "refuse",
        resample: bool = False,
        reader: str = "soundfile",
        skip_unreadable: bool = False,
        seed: int = 0,
    ) -> None:
        if split_by not in SPLIT_BY:
            raise ValueError(
                f"split_by must be one of {SPLIT_BY}. Received: split_by={split_by!r}."
            )
        if fold is not None and (test_folder is not None or split_by != "speaker"):
            raise ValueError(
                "A fold tests on some of the folder's own speakers. Received: "
                f"test_folder={test_folder}, split_by={split_by!r}. Leave them out."
            )
        folder = Path(folder)
        files = _files_by_word(folder)
        own = {name: _clips_of(folder, name) for name in (UNKNOWN, SILENCE)}
        has_unknown = bool(own[UNKNOWN]) and (unknown_words is None or len(unknown_words) > 0)
        keywords, unknown_words = _choose_words(files, keywords, unknown_words)
        labels = class_labels(keywords, unknown=has_unknown or bool(unknown_words), silence=silence)
        class_of = dict.fromkeys(unknown_words, UNKNOWN) | {word: word for word in keywords}
        class_of |= {name: name for name in own if name in labels}
        clips = _clips_by_split(folder, files | own, class_of, split_by, fold)
        if test_folder is not None:
            clips["testing"] = _test_clips(Path(test_folder), labels)
            if split_by == "speaker":
                _check_test_speakers(clips, words=files)
        super().__init__(
            folder,
            labels,
            clips,
            noise_folder=folder / _NOISE_FOLDER,
            unknown_cap=unknown_cap,
            sample_rate_hz=sample_rate_hz,
            clip_seconds=clip_seconds,
            long_clips=long_clips,
            resample=resample,
            reader=reader,
            skip_unreadable=skip_unreadable,
            seed=seed,
        )
        unused = [f"{name}/" for name, names in own.items() if names and name not in labels]
        self.left_out = (*unused, *_left_out(folder, files))
        self.notes = _notes(self.left_out, split_by)


def _notes(left_out: Sequence[str], split_by: str) -> tuple[str, ...]:
    notes = []
    if left_out:
        notes.append(f"Files and folders that aren't read: {first_few(left_out)}")
    if split_by == "take":
        notes.append("Split by take: the same speakers are in training and test.")
    return tuple(notes)


def _left_out(folder: Path, files: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the empty word folders, nested folders and files that aren't read as clips."""
    empty = [f"{word}/" for word, names in files.items() if not names]
    known = {name for names in files.values() for name in names}
    entries = [f"{word}/{path.name}" for word in files for path in (folder / word).iterdir()]
    strays = [path.name for path in audio_files(folder)]
    unread = [name for name in entries if name not in known and "/." not in name]
    return tuple(sorted(map(legible, [*empty, *strays, *unread])))


def _files_by_word(folder: Path) -> dict[str, tuple[str, ...]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. Pass the folder that holds the word folders.")
    words = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and path.name[0] not in "_."
    )
    files = {word: _clips_of(folder, word) for word in words}
    if not any(files.values()):
        raise ValueError(
            f"{folder} holds no word folder with audio files. "
            f"Expected <word>/<speaker>_nohash_<n>.wav. Found folders: {words}."
        )
    return files


def _clips_of(folder: Path, name: str) -> tuple[str, ...]:
    return tuple(f"{name}/{path.name}" for path in audio_files(folder / name))


def _choose_words(
    files: dict[str, tuple[str, ...]],
    keywords: Sequence[str] | None,
    unknown_words: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    available = [word for word, names in files.items() if names]
    by_form = {unicodedata.normalize("NFC", word): word for word in available}
    if keywords is not None:
        keywords = [by_form.get(unicodedata.normalize("NFC", word), word) for word in keywords]
    if unknown_words is not None:
        unknown_words = [
            by_form.get(unicodedata.normalize("NFC", word), word) for word in unknown_words
        ]
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


def _clips_by_split(
    folder: Path,
    files: Mapping[str, Sequence[str]],
    class_of: Mapping[str, str],
    split_by: str,
    fold: Fold | None,
) -> dict[str, ClipList]:
    classes = {name: label for word, label in class_of.items() for name in files[word]}
    spoken = [name for name, label in classes.items() if label != SILENCE]
    silent = [name for name, label in classes.items() if label == SILENCE]
    others = [name for names in files.values() for name in names]
    splits = assign_splits(folder, spoken, others, split_by=split_by, fold=fold)
    if split_by == "speaker":
        check_speakers({name: splits[name] for name in spoken})
    if fold is None:
        splits |= assign_splits(folder, silent, others, split_by="take")
    else:
        splits |= split_takes(silent)
    return {
        split: ClipList(folder, {n: label for n, label in classes.items() if splits[n] == split})
        for split in SPLITS
    }


def _test_clips(folder: Path, labels: Sequence[str]) -> ClipList:
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder. Pass as test_folder the one that holds a folder for each "
            "class."
        )
    files = {
        path.name: audio_files(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    }
    found = [label for label, paths in files.items() if paths]
    missing = [label for label in labels if label not in found]
    other = [label for label in found if label not in labels]
    if missing or other:
        raise ValueError(
            f"The test set {folder} must have the classes of the data set, {list(labels)}. "
            f"Without a folder or without clips: {missing}. Folders of no class: {other}. "
            "Choose keywords, unknown_words and silence to match, or complete the folder."
        )
    classes = {f"{label}/{path.name}": label for label in labels for path in files[label]}
    return ClipList(folder, classes, complete=True)


def _check_test_speakers(clips: Mapping[str, ClipList], words: Iterable[str]) -> None:
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    word_before_speaker = re.compile(rf"(?<=/{UNKNOWN}/)(?:{'|'.join(longest_first)})_")
    tested = {
        f"{clips['testing'].folder.resolve()}/{name}": "testing"
        for name, label in clips["testing"].classes.items()
        if label != SILENCE
    }
    trained = {name: split for split in SPLITS[:2] for name in clips[split].classes}
    check_speakers(trained | tested, lambda name: speaker_of(word_before_speaker.sub("", name)))
