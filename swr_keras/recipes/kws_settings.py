"""What the keyword-spotting recipe is asked to do."""

import dataclasses
import os
from typing import Any

import keras

from swr_keras import audio, backbones
from swr_keras.audio.keyword_task import Hearing
from swr_keras.methods import (
    SWR,
    ClassifierAndBatchNorm,
    ClassifierOnly,
    FineTuningAll,
    LastLayersFirst,
    Method,
    RandomPolicy,
)
from swr_keras.recipes.audio_settings import Corpora, Noise
from swr_keras.recipes.settings import Settings, setting
from swr_keras.recipes.training_settings import (
    BaseTraining,
    Devices,
    Search,
    Transfer,
    base_fit,
    swr,
    task_fit,
)
from swr_keras.training.fit import Fit, usual_learning_rate

_MOST_WORKERS = 4
_WARMED = "micro_frontend"
FEATURES = ("log_mel", "mfcc", _WARMED)
_SYNTHETIC_NOISE: dict[str, Any] = {
    "base_snr_db": (0.0, 20.0),
    "train_snr_db": (0.0, 20.0),
    "test_snr_db": (0.0, 10.0),
    "held_out_noise": 1 / 3,
}


@dataclasses.dataclass(frozen=True)
class Base(BaseTraining):
    """The base: trained here, or given."""

    base: str | None = setting(
        None,
        "A trained base (.keras) for these features. Default: train one on the words of "
        "--base_data_dir, or else of the tasks.",
    )
    pretrained: str | None = setting(
        None,
        "A published base with features of its own: Google's speech embedding, 328,224 parameters.",
        choices=("speech_embedding",),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.base and self.pretrained:
            raise ValueError(
                "The base is either `base` or `pretrained`. Received: "
                f"base={self.base!r}, pretrained={self.pretrained!r}."
            )


@dataclasses.dataclass(frozen=True)
class Controls(Settings):
    """What SWR is compared with."""

    baselines: bool = setting(
        True, "Whether to train the classifier only, with batch norm, and everything, too."
    )
    random_policies: int = setting(
        0, "Number of random policies to compare with at each cost.", at_least=0
    )
    last_layers_first: bool = setting(
        False,
        "Whether to compare with a policy that takes the layers from the last one on, at each "
        "cost.",
    )


@dataclasses.dataclass(frozen=True)
class Int8(Settings):
    """How models are converted for devices."""

    calibration_clips: int = setting(200, "Training clips that int8 is calibrated on.", at_least=1)


@dataclasses.dataclass(frozen=True)
class KwsSettings(Settings):
    """All that the recipe is asked to do; each field of each concern is a flag."""

    corpora: Corpora = Corpora()
    noise: Noise = Noise()
    features: str = setting(_WARMED, "Front end.", choices=FEATURES)
    warm_up_seconds: float = setting(
        0.0,
        "How much background the front end 'micro_frontend' hears before each clip, in training "
        "and test; 2 for a device that listens to a stream.",
        at_least=0,
    )
    backbone: str = setting(
        "bcresnet1", "Architecture of the base.", choices=tuple(backbones.BUILDERS)
    )
    base: Base = Base()
    transfer: Transfer = Transfer()
    search: Search = Search()
    controls: Controls = Controls()
    int8: Int8 = Int8()
    devices: Devices = Devices()
    seed: int = setting(0, "Seed of everything random.", at_least=0)
    workers: int | None = setting(
        None,
        "Processes that train side by side; 1 for one after the other, with the progress of each. "
        "Default: one a core, four at most; with a --strategy one.",
        at_least=1,
    )
    output_dir: str = setting(
        "runs/kws", "Folder to write: a new one, or that of a run to go on with."
    )

    def __post_init__(self):
        super().__post_init__()
        self.devices.check_workers(self.workers)
        if self.warm_up_seconds and (self.features != _WARMED or self.base.pretrained):
            raise ValueError(
                f"`warm_up_seconds` is for features={_WARMED!r}, which remember what they heard. "
                f"Received: warm_up_seconds={self.warm_up_seconds}, features={self.features!r}, "
                f"pretrained={self.base.pretrained!r}."
            )

    def resolved(self, base: keras.Model | None = None) -> "KwsSettings":
        """Returns them with the defaults filled in that depend on the recordings and the base.

        Args:
            base: The base, once it is known.
        """
        if base is not None and self.transfer.learning_rate is None:
            rate = usual_learning_rate(base, self.transfer.optimizer)
            transfer = dataclasses.replace(self.transfer, learning_rate=rate)
            return dataclasses.replace(self, transfer=transfer).resolved()
        if self.corpora.data_dir is not None:
            return self
        noise = {name: getattr(self.noise, name) or each for name, each in _SYNTHETIC_NOISE.items()}
        return dataclasses.replace(self, noise=dataclasses.replace(self.noise, **noise))

    @property
    def hearing(self) -> Hearing:
        """How the tasks hear."""
        name = "embedding_mel" if self.base.pretrained else self.features
        width = None
        if not self.base.pretrained and self.backbone.startswith("bcresnet"):
            tau = self.backbone.removeprefix("bcresnet").partition("-")[0]
            width = audio.spec_augment_freq_width(float(tau))
        features = audio.FRONT_ENDS[name](16000)
        if self.warm_up_seconds:
            features = audio.MicroFrontend(16000, warm_up_seconds=self.warm_up_seconds)
        return Hearing(
            features=features,
            seed=self.seed,
            spec_augment_freq_width=width,
            train_snr_db=self.noise.train_snr_db,
            test_snr_db=self.noise.test_snr_db,
            held_out_noise=self.noise.held_out_noise,
        )

    @property
    def processes(self) -> int:
        """Number of processes that train side by side."""
        alone = self.devices.strategy != "none"
        return 1 if alone else self.workers or min(os.cpu_count() or 1, _MOST_WORKERS)

    @property
    def base_fit(self) -> Fit:
        """How the base is trained."""
        return base_fit(self.base, self.transfer)

    @property
    def fit(self) -> Fit:
        """How a task model is trained."""
        return task_fit(self.transfer)

    @property
    def swr(self) -> SWR:
        """The method, with these settings."""
        return swr(self.transfer, self.search)

    @property
    def baselines(self) -> list[Method]:
        """The methods without a cost that it is compared with."""
        if not self.controls.baselines:
            return []
        rate = self.transfer.classifier_learning_rate
        classifier = dataclasses.replace(self.fit, learning_rate=rate)
        return [
            ClassifierOnly(fit=classifier),
            ClassifierAndBatchNorm(fit=self.fit),
            FineTuningAll(fit=self.fit),
        ]

    @property
    def same_cost(self) -> list[Method]:
        """The methods that it is compared with at each cost."""
        common: dict[str, Any] = {
            "fit": self.fit,
            "batch_norm": self.transfer.bn_mode,
            "cost": self.transfer.cost,
            "first_layer": self.transfer.first_layer,
        }
        methods: list[Method] = [
            RandomPolicy(draw=draw, **common) for draw in range(self.controls.random_policies)
        ]
        return [*methods, *([LastLayersFirst(**common)] if self.controls.last_layers_first else [])]
