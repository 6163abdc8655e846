"""Settings of recipes that say how bases and tasks are trained."""

import dataclasses

from swr_keras.layers.normalization import TaskNormalization
from swr_keras.methods import SWR, PolicyLearning
from swr_keras.policy.policy import COSTS, READINGS, check_target_cost
from swr_keras.recipes.settings import Settings, setting
from swr_keras.training.distribution import STRATEGIES
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.optimizers import OPTIMIZERS


@dataclasses.dataclass(frozen=True)
class BaseTraining(Settings):
    """How a base is trained."""

    base_epochs: int = setting(20, "Epochs of the base.", at_least=1)
    base_learning_rate: float = setting(5e-3, "Adam's first rate for the base.", at_least=0)
    precision: str = setting(
        "float32",
        "What the base, and the models made of it, compute in. mixed_bfloat16 trains large "
        "networks faster where the processor has it, and small ones slower.",
        choices=("float32", "mixed_bfloat16"),
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
        "statistics, its affine too, statistics and shift, nothing with 'frozen', or, with "
        "'owned', what goes with the layers that the task changes.",
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


def base_fit(base: BaseTraining, transfer: Transfer) -> Fit:
    """Returns how a base is trained."""
    return Fit(base.base_epochs, base.base_learning_rate, transfer.batch_size)


def task_fit(transfer: Transfer) -> Fit:
    """Returns how a task model is trained."""
    return Fit(
        transfer.task_epochs,
        transfer.learning_rate,
        transfer.batch_size,
        transfer.optimizer,
        transfer.weight_decay,
        transfer.label_smoothing,
    )


def swr(transfer: Transfer, search: Search) -> SWR:
    """Returns SWR with these settings."""
    fit = task_fit(transfer)
    policies = SearchFit(
        steps=search.search_steps,
        learning_rate=search.search_learning_rate,
        cost_weight=search.cost_weight,
    )
    learning = PolicyLearning(
        supernet=dataclasses.replace(fit, epochs=search.supernet_epochs),
        sample_gates=search.sample_gates,
        search=policies,
    )
    return SWR(
        fit=fit,
        batch_norm=transfer.bn_mode,
        cost=transfer.cost,
        learning=learning,
        first_layer=transfer.first_layer,
        reading=transfer.reading,
        tries=search.tries,
    )
