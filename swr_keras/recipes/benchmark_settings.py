"""What the benchmark is asked to do."""

import dataclasses
import math
import os
from collections.abc import Sequence

from swr_keras import backbones
from swr_keras.audio.splits import Fold
from swr_keras.recipes import settings as concerns
from swr_keras.recipes.benchmark_methods import NAMES, Shared, check_names
from swr_keras.recipes.kws_settings import FEATURES, KwsSettings
from swr_keras.recipes.settings import Settings, setting

ENGINES = ("local", "ray")
_CLASSIFIER = "classifier_only"


@dataclasses.dataclass(frozen=True)
class Repetition:
    """One of the repetitions that results are averaged over.

    Attributes:
        seed: Seed of everything random.
        fold: Fold of a cross-validation; `None` without one.
    """

    seed: int
    fold: int | None

    def __str__(self):
        return f"seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold}")


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """All that the benchmark is asked to do; each field of each concern is a flag."""

    methods: tuple[str, ...] = setting(
        ("multilingual", "fine_tuning_all", "classifier_only", "random_policy", "swr"),
        f"Methods, comma-separated: {', '.join(NAMES)}.",
    )
    backbones: tuple[str, ...] = setting(
        ("bcresnet1",),
        f"Architectures of the bases, comma-separated: {', '.join(backbones.BUILDERS)}.",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2), "Seeds, comma-separated. With --folds, each fold is done at each seed."
    )
    fold: tuple[int, ...] | None = setting(
        None, "Which of the --folds are done, comma-separated, from 0. Default: all."
    )
    recordings: concerns.Recordings = concerns.Recordings()
    noise: concerns.Noise = concerns.Noise()
    features: str = setting("micro_frontend", "Front end.", choices=FEATURES)
    warm_up_seconds: float = setting(
        0.0,
        "How much background the front end 'micro_frontend' hears before each clip, in training "
        "and test; 2 for a device that listens to a stream.",
        at_least=0,
    )
    base_training: concerns.BaseTraining = concerns.BaseTraining()
    transfer: concerns.Transfer = concerns.Transfer()
    search: concerns.Search = concerns.Search()
    random_policies: int = setting(
        1, "Number of random policies at each cost, averaged.", at_least=1
    )
    learning_rates: tuple[str, ...] = setting(
        (),
        "Adam's first rate of single methods, as <method>=<rate>, comma-separated; ablations of "
        "SWR have SWR's, unless told otherwise. Default: --learning_rate.",
    )
    tune: tuple[float, ...] = setting(
        (),
        "Rates, comma-separated, of which each method that --learning_rates doesn't name gets the "
        "one that is best on validation examples: the mean over the tasks of the first seed (and "
        "fold), at the first cost, for each backbone. The test examples have no say in it.",
    )
    engine: str = setting(
        "local", "Where jobs are done: here, or on a Ray cluster.", choices=ENGINES
    )
    address: str | None = setting(
        None, "Address of the Ray cluster, such as ray://host:10001. Default: one is started here."
    )
    workers: int | None = setting(
        None,
        "Processes of the engine 'local'. Default: one for each --threads cores.",
        at_least=1,
    )
    threads: int = setting(
        1,
        "Threads of each job. A tiny network can't keep more than one busy. Results can differ in "
        "rounding by their number.",
        at_least=1,
    )
    store_dir: str = setting(
        "runs/store", "Folder of finished jobs, which any number of benchmarks may share."
    )
    beside: tuple[str, ...] = setting(
        (), "Folders of further benchmarks, comma-separated, whose results the tables have, too."
    )
    output_dir: str = setting("runs/benchmark", "Folder for tables, figures and results.")

    def __post_init__(self):
        super().__post_init__()
        check_names(self.methods)
        if unknown := sorted(set(self.backbones) - set(backbones.BUILDERS)):
            raise ValueError(
                f"There are no backbones {unknown}. Choose among {', '.join(backbones.BUILDERS)}."
            )
        for name in ("backbones", "seeds", "fold"):
            values = getattr(self, name)
            if values is None:
                continue
            if len(set(values)) < len(values) or not values:
                raise ValueError(f"`{name}` needs one or more, each once. Received: {values}.")
        if self.fold is not None:
            if self.recordings.folds is None:
                raise ValueError(f"`fold` needs the number of `folds`. Received: {self.fold}.")
            for index in self.fold:
                Fold(index, self.recordings.folds)
        if min(self.seeds) < 0:
            raise ValueError(f"`seeds` must be at least 0. Received: {self.seeds}.")
        if not all(0 < rate < math.inf for rate in self.tune):
            raise ValueError(f"`tune` needs positive rates. Received: {self.tune}.")
        if len(set(self.tune)) < len(self.tune) or len(self.tune) == 1:
            raise ValueError(
                f"`tune` needs two or more rates that differ. Received: {self.tune}. A single one "
                "is --learning_rate."
            )
        if self.address and self.engine != "ray":
            raise ValueError(
                f"`address` is for engine='ray'. Received: address={self.address!r}, "
                f"engine={self.engine!r}."
            )
        self.rates()
        self.kws(self.backbones[0], self.repetitions[0])

    @property
    def repetitions(self) -> list[Repetition]:
        """What results are averaged over, the first fold of each seed first."""
        if self.recordings.folds is None:
            folds: Sequence[int | None] = [None]
        else:
            folds = range(self.recordings.folds) if self.fold is None else self.fold
        return [Repetition(seed, fold) for fold in folds for seed in self.seeds]

    @property
    def processes(self) -> int:
        """Number of processes of the engine 'local'."""
        return self.workers or max(1, (os.cpu_count() or 1) // self.threads)

    def rates(self) -> dict[str, float]:
        """Returns the rates of single methods by their names.

        Raises:
            ValueError: If an entry isn't `<method>=<rate>`.
        """
        found: dict[str, float] = {}
        if _CLASSIFIER in self.methods and not self.tune:
            found[_CLASSIFIER] = self.transfer.classifier_learning_rate
        for entry in self.learning_rates:
            name, _, text = entry.partition("=")
            try:
                rate = float(text)
            except ValueError:
                rate = math.nan
            if name not in self.methods or not 0 < rate < math.inf:
                raise ValueError(
                    "`learning_rates` needs entries <method>=<rate>, of methods that are asked "
                    f"for. Received: {entry!r}, methods={list(self.methods)}."
                )
            found[name] = rate
        return found

    def kws(self, backbone: str, repetition: Repetition) -> KwsSettings:
        """Returns the settings of a run with one base, as the keyword-spotting recipe has them."""
        recordings = {
            field.name: getattr(self.recordings, field.name)
            for field in dataclasses.fields(self.recordings)
        }
        return KwsSettings(
            corpora=concerns.Corpora(**recordings, fold=repetition.fold or 0),
            noise=self.noise,
            features=self.features,
            warm_up_seconds=self.warm_up_seconds,
            backbone=backbone,
            base=concerns.Base(**dataclasses.asdict(self.base_training)),
            transfer=self.transfer,
            search=self.search,
            seed=repetition.seed,
        ).resolved()

    def shared(self, backbone: str, repetition: Repetition) -> Shared:
        """Returns what the methods of a run with one base have in common."""
        return Shared(self.kws(backbone, repetition).swr, self.random_policies)
