"""Keyword-spotting tasks in memory, and the data sets of the recipe's stages."""

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from swr_keras import audio
from swr_keras.audio.keyword_corpus import SILENCE, UNKNOWN, is_keyword
from swr_keras.recipes.kws_settings import Settings

_EVALUATION_BATCH = 128
_SPEAKERS = 180


@dataclasses.dataclass(frozen=True)
class KeywordTask:
    """A keyword set with its clips decoded.

    Attributes:
        name: Name of the task, that of its folder.
        labels: Class names.
        splits: `audio.Split` by name: "training", "validation", "testing".
        noise: Background recordings, float32 `(samples,)` each.
    """

    name: str
    labels: tuple[str, ...]
    splits: dict[str, audio.Split]
    noise: tuple[np.ndarray, ...]

    def digest(self) -> str:
        """Returns a hash of everything in the task, equal only for equal recordings."""
        content = hashlib.sha256(repr((self.labels, sorted(self.splits))).encode())
        for _, split in sorted(self.splits.items()):
            content.update(repr(split.names).encode())
            content.update(split.labels.tobytes())
            content.update(split.audio.tobytes())
        for recording in self.noise:
            content.update(recording.tobytes())
        return content.hexdigest()

    @property
    def silence_labels(self) -> tuple[int, ...]:
        """Labels of silence."""
        return tuple(i for i, label in enumerate(self.labels) if label.startswith(SILENCE))


def load_tasks(settings: Settings) -> list[KeywordTask]:
    """Reads every folder, so that all that is wrong with the recordings shows before training.

    Args:
        settings: Their `data_dir` names one folder a task, in the layout of Speech Commands or in
            MagicHub's. Without folders, the tasks are synthetic speech, made on first use.

    Raises:
        ValueError: If two folders have one name, a word is in none of the folders, or see
            `audio.SpeechCommands` and `audio.MandarinKWS`.
        ImportError: If the synthetic speech needs a package that isn't installed.
    """
    unknown_words = settings.unknown_words
    if settings.data_dir:
        folders = [Path(folder) for folder in settings.data_dir]
    else:
        folders = list(_synthetic_folders())
        if settings.keywords is None and unknown_words is None:
            unknown_words = [w for words in audio.SYNTHETIC_UNKNOWN_WORDS.values() for w in words]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) != len(names):
        raise ValueError(f"The folders name the tasks, so their names must differ: {names}.")
    words = [_words(folder) for folder in folders]
    for option, chosen in (("keywords", settings.keywords), ("unknown_words", unknown_words)):
        absent = sorted(set(chosen or ()) - set().union(*words))
        if absent:
            raise ValueError(
                f"--{option} names words that no folder has: {absent}. The folders have "
                f"{sorted(set().union(*words))}."
            )
    test_folders = settings.test_dir or [""] * len(folders)
    _check_folders(folders, test_folders, settings.noise_dir)
    tasks = []
    for name, folder, own, test_folder in zip(names, folders, words, test_folders, strict=True):
        common: dict[str, Any] = {
            "unknown_cap": settings.unknown_cap,
            "silence": settings.silence,
            "clip_seconds": settings.clip_seconds,
            "reader": settings.audio_reader,
            "skip_unreadable": settings.skip_unreadable,
            "seed": settings.seed,
        }
        corpus: audio.MandarinKWS | audio.SpeechCommands
        if _is_magichub(folder):
            corpus = audio.MandarinKWS(folder, noise_folder=settings.noise_dir, **common)
        else:
            corpus = audio.SpeechCommands(
                folder,
                keywords=_in_folder(settings.keywords, own),
                unknown_words=(
                    _in_folder(unknown_words, own)
                    if unknown_words or not settings.keywords
                    else None
                ),
                test_folder=test_folder or None,
                resample=settings.resample,
                **common,
            )
        splits = {split: corpus.load(split) for split in ("training", "validation", "testing")}
        tasks.append(KeywordTask(name, tuple(corpus.labels), splits, corpus.noise()))
    return tasks


def combine(tasks: Sequence[KeywordTask], *, share_unknown: bool = True) -> KeywordTask:
    """Joins tasks into the one of the multi-lingual base: all their classes, equal names shared.

    Args:
        tasks: The tasks.
        share_unknown: False keeps the unknown words and the silence of each task apart, as classes
            of their own.
    """
    named = [
        tuple(
            label if share_unknown or is_keyword(label) else f"{label}{task.name}"
            for label in task.labels
        )
        for task in tasks
    ]
    labels = dict.fromkeys(label for names in named for label in names)
    order = sorted(labels, key=lambda label: not label.startswith("_"))
    splits = {}
    for split in tasks[0].splits:
        parts = [task.splits[split] for task in tasks]
        splits[split] = audio.Split(
            np.concatenate([part.audio for part in parts]),
            np.concatenate(
                [
                    np.array([order.index(names[label]) for label in part.labels], np.int32)
                    for names, part in zip(named, parts, strict=True)
                ]
            ),
            tuple(
                f"{task.name}/{name}"
                for task, part in zip(tasks, parts, strict=True)
                for name in part.names
            ),
            recorded=np.concatenate([np.asarray(part.recorded) for part in parts]),
            unreadable=tuple(problem for part in parts for problem in part.unreadable),
        )
    noise = tuple(recording for task in tasks for recording in task.noise)
    return KeywordTask("base", tuple(order), splits, noise)


def own_names(task: KeywordTask, base_labels: Sequence[str]) -> list[str]:
    """Returns the class names of a combined base as a task calls them, see `combine`."""
    own = {f"{name}{task.name}": name for name in (SILENCE, UNKNOWN)}
    return [own.get(label, label) for label in base_labels]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Turns the clips of a task into batches of features.

    Attributes:
        features: The front end.
        batch_size: Clips a training batch.
        seed: Of order and augmentation.
        spec_augment_freq_width: See `audio.spec_augment_freq_width`.
        train_snr_db: Range of the SNR of training noise, None for the paper's noise gain.
        test_snr_db: Range of the SNR at validation and test, None for no noise.
    """

    features: audio.FrontEnd
    batch_size: int
    seed: int
    spec_augment_freq_width: int | None
    train_snr_db: tuple[float, float] | None
    test_snr_db: tuple[float, float] | None

    def training(self, task: KeywordTask, first_epoch: int = 0) -> tf.data.Dataset:
        """Augmented batches of the training clips, epoch after epoch without end."""
        return audio.training_dataset(
            task.splits["training"],
            task.noise,
            self.features,
            batch_size=self.batch_size,
            seed=self.seed,
            silence_label=task.silence_labels,
            noise_snr_db=self.train_snr_db,
            spec_augment_freq_width=self.spec_augment_freq_width,
            first_epoch=first_epoch,
        )

    def steps_per_epoch(self, task: KeywordTask) -> int:
        """Batches of an epoch."""
        return -(-len(task.splits["training"].labels) // self.batch_size)

    def evaluation(self, task: KeywordTask, split: str) -> tf.data.Dataset:
        """Batches of a split at the test condition, with noise of a fixed seed."""
        return self._fixed(task, task.splits[split])

    def mixed_validation(self, task: KeywordTask) -> tf.data.Dataset:
        """As `evaluation`, in an order that mixes the classes, for what normalises by the batch."""
        split = task.splits["validation"]
        order = np.random.default_rng(0).permutation(len(split.labels))
        return self._fixed(task, split.take(order))

    def calibration(self, task: KeywordTask, clips: int) -> np.ndarray:
        """Features of training clips evenly spread over the list, `(clips, frames, mel, 1)`."""
        batches = self._fixed(task, calibration_clips(task, clips))
        return np.concatenate([features for features, _ in batches.as_numpy_iterator()])

    def _fixed(self, task, split):
        return audio.evaluation_dataset(
            split,
            task.noise,
            self.features,
            batch_size=_EVALUATION_BATCH,
            silence_label=task.silence_labels,
            noise_snr_db=self.test_snr_db,
        )


def calibration_clips(task: KeywordTask, clips: int) -> audio.Split:
    """Returns training clips evenly spread over the list."""
    split = task.splits["training"]
    rows = np.linspace(0, len(split.labels) - 1, min(clips, len(split.labels))).astype(int)
    return split.take(rows)


def _synthetic_folders() -> Sequence[Path]:
    print("Making synthetic speech, once", flush=True)
    bar = keras.utils.Progbar(100, unit_name="percent", verbose=1 if sys.stdout.isatty() else 2)
    corpus = audio.synthetic_corpus(
        speakers=_SPEAKERS, progress=lambda share: bar.update(int(100 * share))
    )
    return list(corpus.values())


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
    return {entry.name for entry in folder.iterdir() if entry.is_dir()}


def _in_folder(chosen, words):
    return None if chosen is None else tuple(word for word in chosen if word in words)
