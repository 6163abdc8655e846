"""What every benchmark is asked to do, whatever its tasks are made of."""

import abc
import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras

from swr_keras import backbones
from swr_keras.jobs.base import TrainBase
from swr_keras.jobs.job import Job
from swr_keras.recipes.benchmark_methods import NAMES, Shared, check_names
from swr_keras.recipes.benchmark_source import KnownTask, Repetition, TaskSource
from swr_keras.recipes.settings import Settings, setting
from swr_keras.recipes.training_settings import (
    BaseTraining,
    Devices,
    Search,
    Transfer,
    base_fit,
    swr,
)

ENGINES = ("local", "ray")
_CLASSIFIER = "classifier_only"


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(Settings, abc.ABC):
    """All that a benchmark is asked to do; each field of each concern is a flag.

    A domain is a subclass, which says where the tasks come from.

    Attributes:
        title: Heading of its page.
    """

    title: ClassVar[str]

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
    base_training: BaseTraining = BaseTraining()
    transfer: Transfer = Transfer()
    search: Search = Search()
    random_policies: int = setting(
        1, "Number of random policies at each cost, averaged.", at_least=1
    )
    int8: bool = setting(
        False,
        "Whether to convert models to int8, too, of the methods whose models a device can run, and "
        "to measure what that costs them.",
    )
    learning_rates: tuple[str, ...] = setting(
        (),
        "First rate of single methods, as <method>=<rate>, comma-separated; ablations of "
        "SWR have SWR's, unless told otherwise. Default: what --tune finds, or else "
        "--learning_rate, of classifier_only --classifier_learning_rate.",
    )
    tune: tuple[float, ...] = setting(
        (),
        "Rates, comma-separated, of which each method that --learning_rates doesn't name gets the "
        "one that is best on validation examples: the mean over the tasks of the first seed (and "
        "fold), at the first cost, for each backbone. The test examples have no say in it.",
    )
    devices: Devices = Devices()
    engine: str = setting(
        "local", "Where jobs are done: here, or on a Ray cluster.", choices=ENGINES
    )
    address: str | None = setting(
        None, "Address of the Ray cluster, such as ray://host:10001. Default: one is started here."
    )
    workers: int | None = setting(
        None,
        "Processes of the engine 'local'. Default: one for each --threads cores; with a --strategy "
        "one.",
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
        check_distinct("backbones", self.backbones)
        check_distinct("seeds", self.seeds)
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
        self.devices.check_workers(self.workers)
        if self.devices.strategy != "none" and self.engine == "ray":
            raise ValueError(
                "A strategy is for the devices of this computer, and for engine='local'. Received: "
                f"strategy={self.devices.strategy!r}, engine='ray'."
            )
        self.rates()

    @property
    def repetitions(self) -> list[Repetition]:
        """What results are averaged over."""
        return [Repetition(seed) for seed in self.seeds]

    @property
    def processes(self) -> int:
        """Number of processes of the engine 'local'."""
        alone = self.devices.strategy != "none"
        return 1 if alone else self.workers or max(1, (os.cpu_count() or 1) // self.threads)

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

    @property
    def shared(self) -> Shared:
        """What the methods have in common."""
        return Shared(swr(self.transfer, self.search), self.random_policies)

    @abc.abstractmethod
    def source(self, cache_dir: Path | None = None) -> TaskSource:
        """Returns what reads its tasks.

        Args:
            cache_dir: Folder for what its jobs compute from the data and share; `None` for no
                files.
        """

    def known_classes(self, task: str, base_labels: Sequence[str]) -> tuple[str, ...]:
        """Returns the classes of a base as a task of this name calls them."""
        return tuple(base_labels)

    def network(self, backbone: str, base_task: KnownTask) -> keras.Model:
        """Makes a base, untrained.

        Args:
            backbone: Its architecture.
            base_task: What it is trained on.
        """
        build = backbones.BUILDERS[backbone]
        return build(num_classes=base_task.num_classes, input_shape=base_task.input_shape)

    def base_job(self, backbone: str, repetition: Repetition, base_task: KnownTask) -> Job:
        """Returns the job that makes a base; arguments as for `network`."""
        return TrainBase(
            backbone=backbone,
            fit=base_fit(self.base_training, self.transfer),
            precision=self.base_training.precision,
            task=base_task.name,
            data=base_task.data,
            seed=repetition.seed,
        )


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Raises ValueError if there are no values, or one comes twice."""
    if len(set(values)) < len(values) or not values:
        raise ValueError(f"`{name}` needs one or more, each once. Received: {tuple(values)}.")
