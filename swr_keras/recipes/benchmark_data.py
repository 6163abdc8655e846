"""The tasks of a benchmark, read when they are needed."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swr_keras.audio.keyword_task import BASE, KeywordTask, combine
from swr_keras.jobs.versions import versions
from swr_keras.recipes.kws_corpora import load_base_tasks, load_tasks, with_synthetic
from swr_keras.recipes.kws_settings import KwsSettings


@dataclasses.dataclass(frozen=True)
class KnownTask:
    """What planning needs of a task once its recordings have left memory.

    Attributes:
        name, labels, examples, input_shape, notes: As of the task.
        data: Its `digest()`.
    """

    name: str
    labels: tuple[str, ...]
    examples: dict[str, int]
    input_shape: tuple[int, ...]
    notes: tuple[str, ...]
    data: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def digest(self) -> str:
        """Returns `data`."""
        return self.data

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns the batches of an epoch."""
        return -(-self.examples["training"] // batch_size)


class Recordings:
    """Reads the tasks of runs, and keeps those of the last one.

    Runs that differ in how they hear alone share what was read.

    Args:
        epochs_dir: Folder for the features of training clips, which the jobs of a task share;
            those of bases, which one job alone needs, aren't kept. `None` keeps them in memory.
    """

    def __init__(self, epochs_dir: Path | None = None) -> None:
        self._epochs_dir = epochs_dir
        self._runs: dict[str, tuple[KwsSettings, str]] = {}
        self._read: tuple[Any, list[KeywordTask], list[KeywordTask]] | None = None
        self._last: tuple[str, KeywordTask] | None = None

    def known(self, settings: KwsSettings) -> tuple[KnownTask, list[KnownTask]]:
        """Reads the task of the base and the tasks of a run, whose digests `task` knows from then.

        Raises:
            ValueError: See `load_tasks`.
        """
        found = []
        for task in self._tasks(settings).values():
            self._runs[task.digest()] = settings, task.name
            found.append(
                KnownTask(
                    name=task.name,
                    labels=task.labels,
                    examples=task.examples,
                    input_shape=task.input_shape,
                    notes=task.notes,
                    data=task.digest(),
                )
            )
        return found[0], found[1:]

    def task(self, data: str) -> KeywordTask:
        """Returns the task of a digest.

        Raises:
            ValueError: If its recordings aren't what they were.
        """
        if self._last is None or self._last[0] != data:
            settings, name = self._runs[data]
            task = self._tasks(settings)[name]
            if task.digest() != data:
                raise ValueError(
                    f"The recordings of '{name}' changed since the benchmark began. Run it again."
                )
            if self._epochs_dir is not None and name != BASE:
                folder = hashlib.sha256(repr((data, versions())).encode()).hexdigest()
                task = dataclasses.replace(task, epochs_dir=self._epochs_dir / folder)
            self._last = data, task
        return self._last[1]

    def __getstate__(self):
        # Processes read for themselves what they need.
        return vars(self) | {"_read": None, "_last": None}

    def _tasks(self, settings) -> Mapping[str, KeywordTask]:
        """Returns the base's task and the others by name, as these settings hear them."""
        hearing, corpora = settings.hearing, with_synthetic(settings.corpora)
        key = corpora, settings.seed, settings.noise.unheard_noise_dir
        if self._read is None or self._read[0] != key:
            tasks = load_tasks(corpora, hearing, settings.seed, settings.noise.unheard_noise_dir)
            base_tasks = load_base_tasks(corpora, tasks, hearing, settings.seed)
            self._read = key, tasks, list(base_tasks)
        _, tasks, base_tasks = self._read
        base = combine(
            base_tasks,
            dataclasses.replace(hearing, train_snr_db=settings.noise.base_snr_db),
            share_unknown=settings.corpora.share_unknown,
        )
        heard = [dataclasses.replace(task, hearing=hearing) for task in tasks]
        return {task.name: task for task in (base, *heard)}
