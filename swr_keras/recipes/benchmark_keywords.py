"""The benchmark of keyword spotting: what it is asked, and its tasks."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swr_keras.audio.keyword_task import KeywordTask, combine, own_names
from swr_keras.audio.splits import Fold
from swr_keras.jobs.versions import versions
from swr_keras.recipes import audio_settings
from swr_keras.recipes.benchmark_settings import BenchmarkSettings, check_distinct
from swr_keras.recipes.benchmark_source import KnownTask, Repetition
from swr_keras.recipes.kws_corpora import load_base_tasks, load_tasks, with_synthetic
from swr_keras.recipes.kws_settings import FEATURES, KwsSettings
from swr_keras.recipes.settings import setting
from swr_keras.split_task import BASE


@dataclasses.dataclass(frozen=True)
class KeywordBenchmark(BenchmarkSettings):
    """What the benchmark of keyword spotting is asked to do."""

    fold: tuple[int, ...] | None = setting(
        None, "Which of the --folds are done, comma-separated, from 0. Default: all."
    )
    recordings: audio_settings.Recordings = audio_settings.Recordings()
    noise: audio_settings.Noise = audio_settings.Noise()
    features: str = setting("micro_frontend", "Front end.", choices=FEATURES)
    warm_up_seconds: float = setting(
        0.0,
        "How much background the front end 'micro_frontend' hears before each clip, in training "
        "and test; 2 for a device that listens to a stream.",
        at_least=0,
    )

    title = "Benchmark of transfer learning for keyword spotting"

    def __post_init__(self):
        super().__post_init__()
        if self.fold is not None:
            check_distinct("fold", self.fold)
            if self.recordings.folds is None:
                raise ValueError(f"`fold` needs the number of `folds`. Received: {self.fold}.")
            for index in self.fold:
                Fold(index, self.recordings.folds)
        self.kws(self.backbones[0], self.repetitions[0])

    @property
    def repetitions(self) -> list[Repetition]:
        """What results are averaged over, the first fold of each seed first."""
        if self.recordings.folds is None:
            return super().repetitions
        folds = range(self.recordings.folds) if self.fold is None else self.fold
        return [Repetition(seed, fold) for fold in folds for seed in self.seeds]

    def source(self, cache_dir: Path | None = None) -> "Recordings":
        return Recordings(self, cache_dir)

    def known_classes(self, task: str, base_labels: Sequence[str]) -> tuple[str, ...]:
        return own_names(task, base_labels)

    def kws(self, backbone: str, repetition: Repetition) -> KwsSettings:
        """Returns the settings of a run with one base, as the keyword-spotting recipe has them."""
        recordings = {
            field.name: getattr(self.recordings, field.name)
            for field in dataclasses.fields(self.recordings)
        }
        return KwsSettings(
            corpora=audio_settings.Corpora(**recordings, fold=repetition.fold or 0),
            noise=self.noise,
            features=self.features,
            warm_up_seconds=self.warm_up_seconds,
            backbone=backbone,
            seed=repetition.seed,
        ).resolved()


class Recordings:
    """Reads the tasks of a benchmark, and keeps those that it read last.

    Runs that differ in how they hear alone share what was read.

    Args:
        settings: What the benchmark is asked.
        cache_dir: Folder for the features of training clips, which the jobs of a task share; those
            of bases, which one job alone needs, aren't kept. `None` keeps them in memory.
    """

    def __init__(self, settings: KeywordBenchmark, cache_dir: Path | None = None) -> None:
        self._settings = settings
        self._cache_dir = cache_dir
        self._runs: dict[str, tuple[str, Repetition, str]] = {}
        self._read: tuple[Any, list[KeywordTask], list[KeywordTask]] | None = None
        self._last: tuple[str, KeywordTask] | None = None

    def known(self, backbone: str, repetition: Repetition) -> tuple[KnownTask, list[KnownTask]]:
        """Reads the task of the base and the tasks of a run, whose digests `task` knows from then.

        Raises:
            ValueError: See `load_tasks`.
        """
        found = [KnownTask.of(task) for task in self._tasks(backbone, repetition).values()]
        self._runs |= {task.data: (backbone, repetition, task.name) for task in found}
        return found[0], found[1:]

    def task(self, data: str) -> KeywordTask:
        """Returns the task of a digest.

        Raises:
            ValueError: If its recordings aren't what they were.
        """
        if self._last is None or self._last[0] != data:
            backbone, repetition, name = self._runs[data]
            task = self._tasks(backbone, repetition)[name]
            if task.digest() != data:
                raise ValueError(
                    f"The recordings of '{name}' changed since the benchmark began. Run it again."
                )
            if self._cache_dir is not None and name != BASE:
                folder = hashlib.sha256(repr((data, versions())).encode()).hexdigest()
                task = dataclasses.replace(task, epochs_dir=self._cache_dir / folder)
            self._last = data, task
        return self._last[1]

    def __getstate__(self):
        # Processes read for themselves what they need.
        return vars(self) | {"_read": None, "_last": None}

    def _tasks(self, backbone, repetition) -> Mapping[str, KeywordTask]:
        """Returns the base's task and the others by name, as these settings hear them."""
        settings = self._settings.kws(backbone, repetition)
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
