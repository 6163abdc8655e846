"""A keyword set as a task: its clips, and the condition that they are heard in."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from swr_keras.audio.clips import Split
from swr_keras.audio.features import FrontEnd
from swr_keras.audio.kept_epochs import KeptEpochs
from swr_keras.audio.keyword_corpus import SILENCE, UNKNOWN, is_keyword
from swr_keras.audio.pipeline import evaluation_dataset, training_dataset
from swr_keras.split_task import BASE, SplitTask

_EVALUATION_BATCH = 128


@dataclasses.dataclass(frozen=True)
class Hearing:
    """How clips become batches of features.

    Attributes:
        features: The front end.
        seed: Of order and augmentation.
        spec_augment_freq_width: See `spec_augment_freq_width`.
        train_snr_db: Range of the SNR of training noise, `None` for the paper's noise gain.
        test_snr_db: Range of the SNR at validation and test, `None` for no noise.
        held_out_noise: Share of each background recording, at its end, that only the test hears.
    """

    features: FrontEnd
    seed: int = 0
    spec_augment_freq_width: int | None = None
    train_snr_db: tuple[float, float] | None = None
    test_snr_db: tuple[float, float] | None = None
    held_out_noise: float = 0.0


@dataclasses.dataclass(frozen=True)
class KeywordTask(SplitTask):
    """A keyword set with its clips decoded; a `Task`.

    Attributes:
        name, labels, remarks: As of every `SplitTask`.
        splits: `Split` by name: "training", "validation", "testing".
        noise: Background recordings, float32 `(samples,)` each.
        hearing: How clips become batches of features.
        unheard: Background recordings that a second test alone hears.
        epochs_dir: Folder that keeps batches of training clips for other processes and later runs;
            of this task and these versions of the packages alone. `None` keeps them in memory.
    """

    splits: dict[str, Split]
    noise: tuple[np.ndarray, ...]
    hearing: Hearing
    unheard: tuple[np.ndarray, ...] = ()
    epochs_dir: Path | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the features of a clip."""
        return self.hearing.features.shape(self.splits["training"].audio.shape[1])

    @property
    def front_end(self) -> FrontEnd:
        """What computes the features."""
        return self.hearing.features

    @property
    def silence_labels(self) -> tuple[int, ...]:
        """Labels of silence."""
        return tuple(i for i, label in enumerate(self.labels) if label.startswith(SILENCE))

    def training(self, batch_size: int, first_epoch: int = 0) -> tf.data.Dataset:
        """Returns augmented batches of the training clips, epoch after epoch without end.

        An epoch is the same each time that it is asked for, whatever trains on it, so the first
        ones are kept: features cost more time than the training of a tiny network.
        """
        return self._epochs.batches(batch_size, first_epoch).prefetch(tf.data.AUTOTUNE)

    @functools.cached_property
    def _epochs(self):
        examples = len(self.splits["training"].labels)
        return KeptEpochs(self._computed_training, examples, self.epochs_dir)

    def _computed_training(self, batch_size, first_epoch):
        return training_dataset(
            self.splits["training"],
            self.noise_parts[0],
            self.hearing.features,
            batch_size=batch_size,
            seed=self.hearing.seed,
            silence_label=self.silence_labels,
            noise_snr_db=self.hearing.train_snr_db,
            spec_augment_freq_width=self.hearing.spec_augment_freq_width,
            first_epoch=first_epoch,
        )

    def validation(self, *, mixed: bool = False) -> tf.data.Dataset:
        """Returns batches of the validation clips at the test condition.

        Args:
            mixed: Whether they mix the classes, for what normalises by the batch.
        """
        return self._mixed_validation if mixed else self._validation

    def testing(self) -> tf.data.Dataset:
        """Returns batches of the test clips, with noise of a fixed seed."""
        return self._testing

    def conditions(self) -> dict[str, tf.data.Dataset]:
        """Returns the same in further conditions by name: in noise that was never heard."""
        return self._conditions

    @functools.cached_property
    def _validation(self):
        return self._fixed(self.splits["validation"], self.noise_parts[0])

    @functools.cached_property
    def _mixed_validation(self):
        split = self.splits["validation"]
        rows = np.random.default_rng(0).permutation(len(split.labels))
        return self._fixed(split.take(rows), self.noise_parts[0])

    @functools.cached_property
    def _testing(self):
        return self._fixed(self.splits["testing"], self.noise_parts[1])

    @functools.cached_property
    def _conditions(self):
        if not self.unheard:
            return {}
        return {"unheard noise": self._fixed(self.splits["testing"], self.unheard)}

    @functools.cached_property
    def noise_parts(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """What training and validation hear of each background recording, and what the test."""
        if not self.hearing.held_out_noise:
            return self.noise, self.noise
        kept = [round(len(each) * (1 - self.hearing.held_out_noise)) for each in self.noise]
        parts = [(each[:at], each[at:]) for each, at in zip(self.noise, kept, strict=True)]
        return tuple(part for part, _ in parts), tuple(part for _, part in parts)

    def calibration(self, count: int) -> np.ndarray:
        """Returns features of training clips evenly spread over the list, `(count, ...)`."""
        batches = self._fixed(self._spread(count), self.noise_parts[0])
        return np.concatenate([features for features, _ in batches.as_numpy_iterator()])

    def calibration_names(self, count: int) -> tuple[str, ...]:
        """Returns the names of the clips of `calibration`."""
        return self._spread(count).names

    @functools.cached_property
    def _digest(self):
        content = hashlib.sha256(repr((self.labels, sorted(self.splits), self.hearing)).encode())
        for _, split in sorted(self.splits.items()):
            content.update(repr(split.names).encode())
            content.update(split.labels.tobytes())
            content.update(split.audio.tobytes())
        for recording in (*self.noise, *self.unheard):
            content.update(recording.tobytes())
        return content.hexdigest()

    def digest(self) -> str:
        """Returns a hash of everything in the task, equal only for equal recordings."""
        return self._digest

    def _spread(self, count):
        split = self.splits["training"]
        rows = np.linspace(0, len(split.labels) - 1, min(count, len(split.labels))).astype(int)
        return split.take(rows)

    def _fixed(self, split, noise):
        return evaluation_dataset(
            split,
            noise,
            self.hearing.features,
            batch_size=_EVALUATION_BATCH,
            silence_label=self.silence_labels,
            noise_snr_db=self.hearing.test_snr_db,
        )


def combine(
    tasks: Sequence[KeywordTask], hearing: Hearing, *, share_unknown: bool = True
) -> KeywordTask:
    """Joins tasks into the one of the multi-lingual base: all their classes, equal names shared.

    Args:
        tasks: The tasks.
        hearing: How the base hears.
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
    for name in tasks[0].splits:
        parts = [task.splits[name] for task in tasks]
        splits[name] = Split(
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
    return KeywordTask(BASE, tuple(order), splits, noise, hearing)


def own_names(task: str, base_labels: Sequence[str]) -> tuple[str, ...]:
    """Returns the class names of a combined base as a task of a name calls them, see `combine`."""
    own = {f"{name}{task}": name for name in (SILENCE, UNKNOWN)}
    return tuple(own.get(label, label) for label in base_labels)
