"""Keyword-spotting tasks from folders of recordings, or of synthetic speech."""

import dataclasses
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from swr_keras import audio
from swr_keras.audio.keyword_task import Hearing, KeywordTask
from swr_keras.audio.splits import SPLITS
from swr_keras.recipes.audio_settings import Corpora
from swr_keras.split_task import BASE

_SPEAKERS = 180


def load_tasks(
    corpora: Corpora, hearing: Hearing, seed: int, unheard_noise_dir: str | None = None
) -> list[KeywordTask]:
    """Reads every folder, so that all that is wrong with the recordings shows before training.

    Args:
        corpora: Their `data_dir` names one folder a task, in the layout of Speech Commands or in
            MagicHub's.
        hearing: How clips become batches of features.
        seed: Seed of what is drawn.
        unheard_noise_dir: Folder of noises that only a second test hears.

    Raises:
        ValueError: If two folders have one name, or one that of the base, a word is in none of the
            folders, or see `audio.SpeechCommands` and `audio.MandarinKWS`.
    """
    folders = [Path(folder) for folder in corpora.data_dir or ()]
    taken = [folder for folder in folders if folder.resolve().name == BASE]
    if taken:
        raise ValueError(
            f"A folder names its task, and '{BASE}' is what the base is called. Received: "
            f"data_dir={taken[0]}. Give the folder another name."
        )
    return _load(corpora, folders, hearing, seed, unheard_noise_dir)


def load_base_tasks(
    corpora: Corpora, tasks: Sequence[KeywordTask], hearing: Hearing, seed: int
) -> Sequence[KeywordTask]:
    """Reads the folders that the base is trained on: those of `base_data_dir`, or the tasks' own.

    Args:
        corpora, hearing, seed: As for `load_tasks`, and its errors.
        tasks: What it returned.
    """
    if not corpora.base_data_dir:
        return tasks
    folders = [Path(folder) for folder in corpora.base_data_dir]
    return _load(dataclasses.replace(corpora, test_dir=None), folders, hearing, seed, None)


def with_synthetic(corpora: Corpora) -> Corpora:
    """Returns them with folders of synthetic speech, made on first use, where none are given.

    Raises:
        ImportError: If the synthetic speech needs a package that isn't installed.
    """
    if corpora.data_dir:
        return corpora
    made = _synthetic_folders()
    unknown_words = corpora.unknown_words
    if corpora.keywords is None and unknown_words is None:
        words = audio.SYNTHETIC_UNKNOWN_WORDS.values()
        unknown_words = tuple(word for each in words for word in each)
    return dataclasses.replace(
        corpora,
        data_dir=tuple(str(made[task]) for task in audio.SYNTHETIC_KEYWORDS),
        base_data_dir=corpora.base_data_dir or (str(made["words"]),),
        unknown_words=unknown_words,
    )


def _load(corpora, folders, hearing, seed, unheard_noise_dir):
    unknown_words = corpora.unknown_words
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) != len(names):
        raise ValueError(f"The folders name the tasks, so their names must differ: {names}.")
    words = [_words(folder) for folder in folders]
    _check_words(corpora, set().union(*words))
    test_folders = corpora.test_dir or [""] * len(folders)
    _check_folders(folders, test_folders, corpora.noise_dir)
    tasks = []
    for name, folder, own, test_folder in zip(names, folders, words, test_folders, strict=True):
        common: dict[str, Any] = {
            "unknown_cap": corpora.unknown_cap,
            "silence": corpora.silence,
            "clip_seconds": corpora.clip_seconds,
            "long_clips": corpora.long_clips,
            "reader": corpora.audio_reader,
            "skip_unreadable": corpora.skip_unreadable,
            "fold": corpora.speaker_fold,
            "seed": seed,
        }
        corpus: audio.MandarinKWS | audio.SpeechCommands
        if _is_magichub(folder):
            corpus = audio.MandarinKWS(folder, noise_folder=corpora.noise_dir, **common)
        else:
            corpus = audio.SpeechCommands(
                folder,
                keywords=_in_folder(corpora.keywords, own),
                unknown_words=(
                    _in_folder(unknown_words, own)
                    if unknown_words or not corpora.keywords
                    else None
                ),
                test_folder=test_folder or None,
                split_by=corpora.split_by,
                resample=corpora.resample,
                **common,
            )
        # Held-out clips first: what is left out because it is in two splits leaves training.
        held_out_first = {split: corpus.load(split) for split in reversed(SPLITS)}
        splits = {split: held_out_first[split] for split in SPLITS}
        tasks.append(
            KeywordTask(
                name,
                corpus.labels,
                splits,
                corpus.noise(),
                hearing,
                remarks=corpus.notes,
                unheard=corpus.noise(unheard_noise_dir) if unheard_noise_dir else (),
            )
        )
    return tasks


def _check_words(corpora, words):
    """Raises ValueError for words that neither these are nor any other folder has."""
    for folder in (*(corpora.data_dir or ()), *(corpora.base_data_dir or ())):
        words = words | _words(Path(folder))
    for option in ("keywords", "unknown_words"):
        absent = sorted(set(map(_plain, getattr(corpora, option) or ())) - words)
        if absent:
            raise ValueError(
                f"--{option} names words that no folder has: {absent}. The folders have "
                f"{sorted(words)}."
            )


def _synthetic_folders() -> dict[str, Path]:
    bar = keras.utils.Progbar(100, unit_name="percent", verbose=1 if sys.stdout.isatty() else 2)

    def progress(share):
        if share == 0:
            print("Making synthetic speech, once", flush=True)
        bar.update(int(100 * share))

    return audio.synthetic_corpus(speakers=_SPEAKERS, progress=progress)


def _check_folders(folders, test_folders, noise_folder):
    """Raises ValueError for folders that wouldn't be used."""
    if len(test_folders) != len(folders):
        raise ValueError(
            f"--test_dir needs an entry for each of the {len(folders)} folders of --data_dir, "
            f"empty where there is none. Received: {test_folders}."
        )
    for folder, test_folder in zip(folders, test_folders, strict=True):
        if test_folder and _is_magichub(folder):
            raise ValueError(
                f"--test_dir gives '{test_folder}' for '{folder}', but a folder in MagicHub's "
                "layout is tested on speakers of its own. Leave its entry empty."
            )
    if noise_folder and not any(map(_is_magichub, folders)):
        raise ValueError(
            f"--noise_dir is for folders in MagicHub's layout. Received: '{noise_folder}' and no "
            "such folder. Put the recordings into <folder>/_background_noise_/."
        )


def _is_magichub(folder: Path) -> bool:
    return (folder / "UTTRANSINFO.txt").is_file()


def _words(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise ValueError(
            f"--data_dir names '{folder}', which is no folder. Give folders in the layout of "
            "Speech Commands: <folder>/<word>/<speaker>_nohash_<n>.wav."
        )
    if _is_magichub(folder):
        return set()
    return {_plain(entry.name) for entry in folder.iterdir() if entry.is_dir()}


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word)


def _in_folder(chosen, words):
    return None if chosen is None else tuple(word for word in chosen if _plain(word) in words)
