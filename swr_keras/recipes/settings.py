"""Settings of recipes, a dataclass for each concern, composed by each recipe.

Flags are derived from them: a field is a flag, its `help` the help. A default keeps what a file
written before the field existed meant.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from swr_keras.audio.long_clips import LONG_CLIPS
from swr_keras.audio.splits import SPLIT_BY, Fold
from swr_keras.layers.normalization import TaskNormalization
from swr_keras.policy.policy import COSTS, READINGS, check_target_cost
from swr_keras.training.distribution import STRATEGIES
from swr_keras.training.optimizers import OPTIMIZERS

Range = tuple[float, float]


def setting(
    default: Any,
    help_text: str,
    *,
    at_least: float | None = None,
    choices: Sequence[str] | None = None,
    positional: bool = False,
) -> Any:
    """Declares a field that is a flag, or what stands on the command line without one.

    Args:
        default: Its default.
        help_text: What it is, for people.
        at_least: Smallest number that it may be.
        choices: All that it may be, besides the default.
        positional: Whether it takes the arguments that are no flags, a tuple of texts.
    """
    metadata = {
        "help": help_text,
        "at_least": at_least,
        "choices": choices,
        "positional": positional,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Checks that numbers are finite and in range, and names among their choices."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), field.metadata.get("at_least")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"`{field.name}` must be finite. Received: {value}.")
            if value is not None and least is not None and value < least:
                raise ValueError(f"`{field.name}` must be at least {least:g}. Received: {value}.")
            choices = field.metadata.get("choices")
            if choices and value not in (*choices, field.default):
                raise ValueError(
                    f"`{field.name}` must be one of {list(choices)}. Received: {value!r}."
                )


def check_range_db(name: str, snr: Range | None) -> None:
    """Raises ValueError if a range of the SNR isn't two finite numbers in order."""
    finite = snr is None or (len(snr) == 2 and all(map(math.isfinite, snr)))
    if not finite or (snr and snr[0] > snr[1]):
        raise ValueError(f"`{name}` is the lowest and the highest SNR in dB. Received: {snr}.")


@dataclasses.dataclass(frozen=True)
class Recordings(Settings):
    """Which recordings the tasks are made of, but for the fold of a cross-validation."""

    data_dir: tuple[str, ...] | None = setting(
        None,
        "Folders of recordings, comma-separated, one a task, in the layout of Speech Commands: "
        "<folder>/<word>/<speaker>_nohash_<n>.wav (or .flac) and <folder>/_background_noise_/; or "
        "in MagicHub's, with a words.json. Default: synthetic English and Mandarin, made on first "
        "use, and a base of other English words.",
    )
    base_data_dir: tuple[str, ...] | None = setting(
        None,
        "Folders, as for --data_dir, whose words the base is trained on. Default: those of the "
        "tasks.",
    )
    test_dir: tuple[str, ...] | None = setting(
        None,
        "For each folder, one with the clips to test on, by class, such as the test set of Speech "
        "Commands; an empty entry for none. Default: the folders' own test lists.",
    )
    noise_dir: str | None = setting(None, "Background recordings for folders in MagicHub's layout.")
    keywords: tuple[str, ...] | None = setting(
        None, "Words to spot, over all folders. Default: all but --unknown_words."
    )
    unknown_words: tuple[str, ...] | None = setting(
        None, "Words of the class 'unknown', over all folders. Default: all but --keywords."
    )
    unknown_cap: float | None = setting(
        None,
        "Most clips of unknown words, as a share of the keywords' clips; 0.1 in the 12-class "
        "benchmark. Default: all.",
        at_least=0,
    )
    share_unknown: bool = setting(
        True, "Whether tasks share the base's classes 'unknown' and 'silence'."
    )
    silence: bool = setting(True, "Whether there is a class 'silence', made of the noises.")
    clip_seconds: float = setting(1.0, "Length of a clip in seconds.", at_least=0.1)
    long_clips: str = setting(
        "refuse",
        "What becomes of recordings longer than a clip: the part of most energy, the start or the "
        "centre is kept; 'refuse' keeps the centre too, but refuses those of more than one and a "
        "half times a clip.",
        choices=LONG_CLIPS,
    )
    split_by: str = setting(
        "speaker",
        "How clips without split lists are split: by speaker, or, for one speaker alone, by take. "
        "MagicHub's layout is always split by speaker.",
        choices=SPLIT_BY,
    )
    folds: int | None = setting(
        None,
        "Number of folds of a cross-validation over speakers, of which one tests, the next one "
        "validates and the others train; lists of the folders don't count then.",
    )
    skip_unreadable: bool = setting(
        False, "Whether to leave out clips that can't be used, and list them."
    )
    resample: bool = setting(False, "Whether to accept other sample rates than 16 kHz.")
    audio_reader: str = setting(
        "soundfile",
        "Library that decodes the clips.",
        choices=("soundfile", "tensorflow_io"),
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("data_dir", "base_data_dir"):
            folders = getattr(self, name)
            if folders is not None and not all(folders or [""]):
                raise ValueError(f"An entry of `{name}` names no folder. Received: {folders}.")
        if self.folds is not None:
            Fold(0, self.folds)


@dataclasses.dataclass(frozen=True)
class Corpora(Recordings):
    """Which recordings the tasks are made of."""

    fold: int = setting(0, "Which of the --folds tests, from 0.")

    def __post_init__(self):
        super().__post_init__()
        if self.folds is not None:
            Fold(self.fold, self.folds)
        elif self.fold:
            raise ValueError(f"`fold` needs the number of `folds`. Received: fold={self.fold}.")

    @property
    def speaker_fold(self) -> Fold | None:
        """The fold of a cross-validation; `None` without one."""
        return None if self.folds is None else Fold(self.fold, self.folds)


@dataclasses.dataclass(frozen=True)
class Noise(Settings):
    """How noisy it is."""

    train_snr_db: Range | None = setting(
        None,
        "Lowest and highest SNR in the tasks' training in dB. Default: the paper's noise, of "
        "random gain; for synthetic speech 0,20.",
    )
    base_snr_db: Range | None = setting(
        None,
        "Likewise in the training of the base. Default: the paper's noise; for synthetic speech "
        "0,20.",
    )
    test_snr_db: Range | None = setting(
        None,
        "Lowest and highest SNR at validation and test in dB, over the whole clip. Default: no "
        "noise; for synthetic speech 0,10.",
    )
    held_out_noise: float = setting(
        0.0,
        "Share of each recording of noise, at its end, that only the test hears; for synthetic "
        "speech a third.",
        at_least=0,
    )
    unheard_noise_dir: str | None = setting(
        None, "Folder of other noises, in which models are tested once more."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.held_out_noise >= 1:
            raise ValueError(f"`held_out_noise` must be below 1. Received: {self.held_out_noise}.")
        for name in ("train_snr_db", "base_snr_db", "test_snr_db"):
            check_range_db(name, getattr(self, name))


@dataclasses.dataclass(frozen=True)
class BaseTraining(Settings):
    """How a base is trained on the words of all tasks."""

    base_epochs: int = setting(20, "Epochs of the base.", at_least=1)
    base_learning_rate: float = setting(5e-3, "Adam's first rate for the base.", at_least=0)
    precision: str = setting(
        "float32",
        "What the base, and the models made of it, compute in. mixed_bfloat16 trains large "
        "networks faster where the processor has it, and small ones slower.",
        choices=("float32", "mixed_bfloat16"),
    )


@dataclasses.dataclass(frozen=True)
class Base(BaseTraining):
    """The base: trained on the words of all tasks, or given."""

    base: str | None = setting(
        None, "A trained base (.keras) for these features. Default: train one on all words."
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
class Transfer(Settings):
    """How tasks are learned."""

    target_cost: tuple[float, ...] = setting(
        (0.1,),
        "Share of the base that a task may own, see --cost, from 0 to 1; or several, "
        "comma-separated.",
    )
    reading: str = setting(
        "refined",
        "How layers are chosen: by their probabilities, within the budget or above a threshold, or "
        "refined on the super-net from there.",
        choices=READINGS,
    )
    bn_mode: str = setting(
        "owned",
        "What of batch norm belongs to a task, in SWR and in controls of the same cost: its "
        "statistics, its affine too, nothing, or, with 'owned', what goes with the layers that the "
        "task changes.",
        choices=TaskNormalization.MODES,
    )
    cost: str = setting(
        "flash", "What the target cost is a share of: parameters, or bytes of flash.", choices=COSTS
    )
    first_layer: str | None = setting(
        None,
        "Path of the first layer that a task may change, as in policy.json; what comes before it "
        "is the base's, and computed once where a device listens for several tasks at once. "
        "Default: any.",
    )
    task_epochs: int | None = setting(
        None,
        "Epochs of each task model. Default: 12, or as many as make 200 steps.",
        at_least=1,
    )
    batch_size: int = setting(64, "Examples a batch.", at_least=2)
    learning_rate: float | None = setting(
        None,
        "First rate for super-nets and task models. Default: 0.01 with SGD; with Adam 0.02, for a "
        "base of more than 100,000 parameters 0.001.",
        at_least=0,
    )
    classifier_learning_rate: float = setting(1e-2, "First rate for classifier-only.", at_least=0)
    optimizer: str = setting(
        "adam",
        "Optimizer of super-nets and task models; SGD has a momentum of 0.9. Policy networks are "
        "trained by Adam.",
        choices=OPTIMIZERS,
    )
    weight_decay: float = setting(
        0.0,
        "Weight decay of super-nets and task models, which pulls what a task changes towards the "
        "base, and its head to zero; with SGD as a part of the gradient, with Adam apart from it.",
        at_least=0,
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each label that goes to all classes alike, in super-nets, policy searches and "
        "task models.",
        at_least=0,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.label_smoothing >= 1:
            raise ValueError(
                f"`label_smoothing` must be below 1. Received: {self.label_smoothing}."
            )
        for cost in self.target_cost:
            check_target_cost(cost)
        if len(set(self.target_cost)) < len(self.target_cost) or not self.target_cost:
            raise ValueError(
                f"`target_cost` needs costs that differ, none is given twice. Received: "
                f"{self.target_cost}."
            )


@dataclasses.dataclass(frozen=True)
class Search(Settings):
    """How policies are searched."""

    supernet_epochs: int | None = setting(
        None,
        "Epochs of each task's super-net. Default: 10, or as many as make 200 steps.",
        at_least=1,
    )
    sample_gates: bool = setting(
        True,
        "Whether the super-net trains with gates drawn for each batch, or with all of them open.",
    )
    search_steps: int = setting(
        400, "Steps of each task's policy search, of 16 examples.", at_least=10
    )
    search_learning_rate: float = setting(
        5e-3, "Adam's first rate for the policy network.", at_least=0
    )
    tries: int = setting(100, "Policies that a refined choice tries.", at_least=1)
    cost_weight: float = setting(3.0, "Factor of the cost loss in the policy search.")

    def __post_init__(self):
        super().__post_init__()
        if self.cost_weight <= 0:
            raise ValueError(
                f"`cost_weight` must be a positive factor. Received: {self.cost_weight}."
            )


@dataclasses.dataclass(frozen=True)
class Devices(Settings):
    """On which devices jobs train."""

    strategy: str = setting(
        "none",
        "How a training takes devices: one of them, or, mirrored, all GPUs of this computer, each "
        "with an equal part of every batch.",
        choices=STRATEGIES,
    )

    def check_workers(self, workers: int | None) -> None:
        """Raises ValueError if several processes would take all devices each."""
        if self.strategy != "none" and workers not in (None, 1):
            raise ValueError(
                "With a strategy each job takes all devices, so jobs can't run side by side. "
                f"Received: strategy={self.strategy!r}, workers={workers}. Leave `workers` out."
            )


@dataclasses.dataclass(frozen=True)
class Controls(Settings):
    """What SWR is compared with."""

    baselines: bool = setting(True, "Whether to train classifier-only and fine-tuning all, too.")
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
