"""Keyword-spotting tasks in memory, and the data sets of the recipe's stages."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from swr_keras import data
from swr_keras.data.speech_commands import SILENCE

_EVALUATION_BATCH = 128


@dataclasses.dataclass(frozen=True)
class KeywordTask:
    """A keyword set with its clips decoded.

    Attributes:
        name: Name of the task, that of its folder.
        labels: Class names.
        splits: `data.Split` by name: "training", "validation", "testing".
        noise: Background recordings, float32 `(samples,)` each.
    """

    name: str
    labels: tuple[str, ...]
    splits: dict[str, data.Split]
    noise: tuple[np.ndarray, ...]

    @property
    def silence_label(self) -> int | None:
        """Label of silence, None without such a class."""
        return self.labels.index(SILENCE) if SILENCE in self.labels else None


def load_tasks(
    folders: Sequence[str],
    *,
    keywords: Sequence[str] | None,
    unknown_words: Sequence[str] | None,
    silence: bool,
    clip_seconds: float,
    resample: bool,
    reader: str,
) -> list[KeywordTask]:
    """Reads every folder, so that all that is wrong with the recordings shows before training.

    Args:
        folders: One folder a task, in the layout of Speech Commands.
        keywords: Words to spot, over all folders; None for all but the unknown ones.
        unknown_words: Words of the unknown class, over all folders; None for all but the keywords
            (no unknown class if `keywords` is None, too).
        silence, clip_seconds, resample, reader: As for `data.SpeechCommands`.

    Raises:
        ValueError: If two folders have one name, a word is in none of the folders, or see
            `data.SpeechCommands`.
    """
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) != len(names):
        raise ValueError(f"The folders name the tasks, so their names must differ: {names}.")
    words = [_words(folder) for folder in folders]
    for option, chosen in (("keywords", keywords), ("unknown_words", unknown_words)):
        absent = sorted(set(chosen or ()) - set().union(*words))
        if absent:
            raise ValueError(
                f"--{option} names words that no folder has: {absent}. The folders have "
                f"{sorted(set().union(*words))}."
            )
    tasks = []
    for name, folder, own in zip(names, folders, words, strict=True):
        corpus = data.SpeechCommands(
            folder,
            keywords=_in_folder(keywords, own),
            unknown_words=_in_folder(unknown_words, own) if unknown_words or not keywords else None,
            silence=silence,
            clip_seconds=clip_seconds,
            resample=resample,
            reader=reader,
        )
        splits = {split: corpus.load(split) for split in ("training", "validation", "testing")}
        tasks.append(KeywordTask(name, tuple(corpus.labels), splits, corpus.noise()))
    return tasks


def combine(tasks: Sequence[KeywordTask]) -> KeywordTask:
    """Joins tasks into the one of the multi-lingual base: all their classes, equal names shared."""
    labels = tuple(dict.fromkeys(label for task in tasks for label in task.labels))
    order = sorted(labels, key=lambda label: not label.startswith("_"))
    splits = {}
    for split in tasks[0].splits:
        parts = [task.splits[split] for task in tasks]
        splits[split] = data.Split(
            np.concatenate([part.audio for part in parts]),
            np.concatenate(
                [
                    np.array([order.index(task.labels[label]) for label in part.labels], np.int32)
                    for task, part in zip(tasks, parts, strict=True)
                ]
            ),
            tuple(
                f"{task.name}/{name}"
                for task, part in zip(tasks, parts, strict=True)
                for name in part.names
            ),
        )
    noise = tuple(recording for task in tasks for recording in task.noise)
    return KeywordTask("base", tuple(order), splits, noise)


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Turns the clips of a task into batches of features.

    Attributes:
        features: The front end.
        batch_size: Clips a training batch.
        seed: Of order and augmentation.
        spec_augment_freq_width: See `data.spec_augment_freq_width`.
        train_snr_db: Range of the SNR of training noise, None for the paper's noise gain.
        test_snr_db: Range of the SNR at validation and test, None for no noise.
    """

    features: data.LogMel
    batch_size: int
    seed: int
    spec_augment_freq_width: int | None
    train_snr_db: tuple[float, float] | None
    test_snr_db: tuple[float, float] | None

    def training(self, task: KeywordTask) -> tf.data.Dataset:
        """Augmented batches of the training clips, another epoch each pass."""
        return data.training_dataset(
            task.splits["training"],
            task.noise,
            self.features,
            batch_size=self.batch_size,
            seed=self.seed,
            silence_label=task.silence_label,
            noise_snr_db=self.train_snr_db,
            spec_augment_freq_width=self.spec_augment_freq_width,
        )

    def evaluation(self, task: KeywordTask, split: str) -> tf.data.Dataset:
        """Batches of a split at the test condition, with noise of a fixed seed."""
        return self._fixed(task, task.splits[split])

    def calibration(self, task: KeywordTask, clips: int) -> np.ndarray:
        """Features of training clips evenly spread over the list, `(clips, frames, mel, 1)`."""
        split = task.splits["training"]
        rows = np.linspace(0, len(split.labels) - 1, min(clips, len(split.labels))).astype(int)
        chosen = data.Split(
            split.audio[rows], split.labels[rows], tuple(split.names[row] for row in rows)
        )
        batches = self._fixed(task, chosen)
        return np.concatenate([features for features, _ in batches.as_numpy_iterator()])

    def _fixed(self, task, split):
        return data.evaluation_dataset(
            split,
            task.noise,
            self.features,
            batch_size=_EVALUATION_BATCH,
            silence_label=task.silence_label,
            noise_snr_db=self.test_snr_db,
        )


def _words(folder):
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(
            f"--data_dir names '{folder}', which is no folder. Give folders in the layout of "
            "Speech Commands: <folder>/<word>/<speaker>_nohash_<n>.wav."
        )
    return {entry.name for entry in path.iterdir() if entry.is_dir()}


def _in_folder(chosen, words):
    return None if chosen is None else tuple(word for word in chosen if word in words)
