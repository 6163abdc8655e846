"""Which split a Speech Commands file belongs to, and proof that no speaker is in two."""

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np

from swr_keras.audio.regular_files import read_text
from swr_keras.messages import first_few

SPLITS = ("training", "validation", "testing")
SPLIT_BY = ("speaker", "take")
_LIST_FILES = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
_SPEAKER = re.compile(r"(.+)_nohash_")
_HASH_RANGE = 2**27
_VALIDATION_PERCENT = 10
_TESTING_PERCENT = 10
_HELD_OUT_SPEAKERS = 6 / 37
_FEWEST_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation over speakers.

    Attributes:
        index: Which one, from 0.
        count: Number of folds, at least 3.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if self.count < _FEWEST_FOLDS or not 0 <= self.index < self.count:
            raise ValueError(
                f"A fold is one of {_FEWEST_FOLDS} or more, counted from 0: one tests, the next "
                f"validates, the others train. Received: fold {self.index} of {self.count}."
            )


def assign_splits(
    folder: Path,
    names: Collection[str],
    others: Collection[str] = (),
    *,
    split_by: str = "speaker",
    fold: Fold | None = None,
) -> dict[str, str]:
    """Assigns every file to a split.

    `validation_list.txt` and `testing_list.txt` decide where they exist and training is the rest;
    without them `hashed_split` does, for which each name must tell the speaker, or, by take,
    `split_takes`. A `fold` decides instead of all of these.

    Args:
        folder: The data set's folder.
        names: The files, as `"word/file.wav"`.
        others: Files that the lists may name too.
        split_by: `"speaker"` or `"take"`.
        fold: Fold of a cross-validation, see `fold_speakers`.

    Returns:
        Split by name.

    Raises:
        ValueError: If only one list exists, a list names a missing file, both name the same file,
            or there is no list and, by speaker, a name isn't like
            `"word/<speaker>_nohash_<n>.wav"` or there is one speaker alone.
    """
    if fold is not None:
        return _fold_names(folder, names, fold)
    lists = {split: folder / file for split, file in _LIST_FILES.items()}
    found = [path.name for path in lists.values() if path.exists() or path.is_symlink()]
    if not found and split_by == "take":
        return split_takes(names)
    if not found:
        _check_names(folder, names)
        return {name: hashed_split(name) for name in names}
    if len(found) != len(lists):
        raise ValueError(
            f"{folder} holds only {found[0]} of {' and '.join(_LIST_FILES.values())}. "
            "Add the other, or remove this one to split by the hash of the speaker."
        )
    listed = {split: _read_list(path, {*names, *others}) for split, path in lists.items()}
    twice = set(listed["validation"]) & set(listed["testing"])
    if twice:
        raise ValueError(
            f"Files named by both lists of {folder}: {first_few(sorted(twice))}\n"
            "Leave each in one list."
        )
    splits = dict.fromkeys(names, "training")
    for split, entries in listed.items():
        splits.update(dict.fromkeys(entries, split))
    return splits


def hashed_split(name: str) -> str:
    """Returns the split of a file by the hash of its speaker: 10 % validation, 10 % testing.

    Source: the rule published with Speech Commands (arXiv 1804.03209), which keeps every file of
    a speaker in one split, whatever else is in the folder.
    """
    speaker = re.sub(r"_nohash_.*$", "", name.rsplit("/", 1)[-1])
    percent = _sha1(speaker) % _HASH_RANGE * 100.0 / (_HASH_RANGE - 1)
    if percent < _VALIDATION_PERCENT:
        return "validation"
    if percent < _VALIDATION_PERCENT + _TESTING_PERCENT:
        return "testing"
    return "training"


def split_takes(names: Iterable[str]) -> dict[str, str]:
    """Splits the files of each word by the hash of their names: a tenth validates, a tenth tests.

    At least one each, where a word has three; of fewer, all train.

    Args:
        names: The files, as `"word/file.wav"`.

    Returns:
        Split by name.
    """
    words: dict[str, list[str]] = {}
    for name in names:
        words.setdefault(name.rsplit("/", 1)[0], []).append(name)
    splits: dict[str, str] = {}
    for takes in words.values():
        takes.sort(key=lambda name: (_sha1(name), name))
        held_out = max(1, round(len(takes) / 10)) if len(takes) >= len(SPLITS) else 0
        splits |= dict.fromkeys(takes, "training")
        splits |= dict.fromkeys(takes[:held_out], "validation")
        splits |= dict.fromkeys(takes[held_out : 2 * held_out], "testing")
    return splits


def split_speakers(speakers: Iterable[str], seed: int) -> dict[str, str]:
    """Draws 6 of 37 speakers for validation and as many for testing, at least one each.

    Args:
        speakers: In any order.
        seed: Of the draw.

    Returns:
        Split by speaker; the rest is training.

    Raises:
        ValueError: If there are fewer than three speakers.

    Source: the split of MC-KWS in arXiv 2302.13435, 25 / 6 / 6 of 37 speakers.
    """
    drawn = sorted(set(speakers))
    if len(drawn) < len(SPLITS):
        raise ValueError(
            f"Each of {SPLITS} needs a speaker of its own. Received: {len(drawn)} speakers, "
            f"{drawn}. Add recordings of other speakers."
        )
    drawn = np.random.default_rng(seed).permutation(drawn).tolist()
    held_out = max(1, round(len(drawn) * _HELD_OUT_SPEAKERS))
    splits = dict.fromkeys(drawn, "training")
    splits.update(dict.fromkeys(drawn[:held_out], "validation"))
    splits.update(dict.fromkeys(drawn[held_out : 2 * held_out], "testing"))
    return splits


def fold_speakers(speakers: Iterable[str], fold: Fold) -> dict[str, str]:
    """Splits speakers for one fold of a cross-validation.

    The order of their hashes deals the speakers into groups of equal size, give or take one. Group
    `index` tests, the next one validates, the others train: each speaker tests once. Data sets of
    the same speakers get the same folds.

    Args:
        speakers: In any order.
        fold: The fold.

    Returns:
        Split by speaker.

    Raises:
        ValueError: If there are fewer speakers than folds.
    """
    ordered = sorted(set(speakers), key=lambda speaker: (_sha1(speaker), speaker))
    if len(ordered) < fold.count:
        raise ValueError(
            f"Each of {fold.count} folds needs a speaker of its own. Received: {len(ordered)} "
            f"speakers, {ordered}. Ask for fewer folds, or add recordings of other speakers."
        )
    groups = np.array_split(ordered, fold.count)
    splits = dict.fromkeys(ordered, "training")
    splits.update(dict.fromkeys(groups[fold.index].tolist(), "testing"))
    splits.update(dict.fromkeys(groups[(fold.index + 1) % fold.count].tolist(), "validation"))
    return splits


def _fold_names(folder, names, fold):
    speakers = {name: speaker for name in names if (speaker := speaker_of(name)) is not None}
    nameless = sorted(set(names) - set(speakers))
    if nameless:
        raise ValueError(
            f"Folds are of speakers, whom these names in {folder} don't tell: "
            f"{first_few(nameless)}\nName them <speaker>_nohash_<n>.wav."
        )
    splits = fold_speakers(speakers.values(), fold)
    return {name: splits[speaker] for name, speaker in speakers.items()}


def speaker_of(name: str) -> str | None:
    """Returns the speaker in a name like `"word/<speaker>_nohash_<n>.wav"`, or None."""
    match = _SPEAKER.match(name.rsplit("/", 1)[-1])
    return match[1] if match else None


def check_speakers(
    splits: dict[str, str], speaker_of: Callable[[str], str | None] = speaker_of
) -> None:
    """Refuses a speaker in two splits.

    Args:
        splits: Split by name.
        speaker_of: Returns the speaker of a name, or None where it can't tell; such files aren't
            compared.

    Raises:
        ValueError: If a speaker is in two splits.
    """
    first: dict[str, str] = {}
    shared: dict[str, str] = {}
    for name, split in sorted(splits.items()):
        speaker = speaker_of(name)
        if speaker is None:
            continue
        earlier = first.setdefault(speaker, name)
        if splits[earlier] != split:
            shared.setdefault(
                speaker, f"{speaker}: {earlier} ({splits[earlier]}) and {name} ({split})"
            )
    if shared:
        raise ValueError(
            f"Speakers in two splits, so a test would know them: {first_few(shared.values())}\n"
            'Move all files of a speaker to one split, or pass split_by="take" to test on the '
            "speakers of training."
        )


def _sha1(text: str) -> int:
    content = text.encode(errors="surrogateescape")
    return int(hashlib.sha1(content, usedforsecurity=False).hexdigest(), 16)


def _check_names(folder: Path, names: Iterable[str]) -> None:
    nameless = sorted(name for name in names if speaker_of(name) is None)
    if nameless:
        raise ValueError(
            f"{folder} has neither {' nor '.join(_LIST_FILES.values())}, so files are split by the "
            f"hash of their speaker, whom these names don't tell: {first_few(nameless)}\n"
            'Name them <speaker>_nohash_<n>.wav, write the lists, or pass split_by="take".'
        )
    speakers = {speaker_of(name) for name in names}
    if len(speakers) == 1:
        raise ValueError(
            f"All clips of {folder} are of one speaker, {speakers.pop()!r}, whom only one split "
            'can have. Pass split_by="take" to train and test on this speaker, or add others.'
        )


def _plain_form(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _read_list(path: Path, names: Collection[str]) -> Iterable[str]:
    lines = read_text(path, errors="surrogateescape").splitlines()
    entries = [line.strip() for line in lines if line.strip()]
    by_form = {_plain_form(name): name for name in names}
    entries = [
        entry if entry in names else by_form.get(_plain_form(entry), entry) for entry in entries
    ]
    missing = [entry for entry in entries if entry not in names]
    if missing:
        raise ValueError(
            f"{path} names files that don't exist: {first_few(missing)}\n"
            "Restore them or remove the lines."
        )
    return entries
