"""The methods of the benchmark by name, each made with its own learning rate."""

import dataclasses
from collections.abc import Callable, Sequence

from swr_keras.methods import (
    SWR,
    TAPS,
    ClassifierAndBatchNorm,
    ClassifierOnly,
    DepthwiseFirst,
    FineTuningAll,
    GradientSelection,
    LastLayersFirst,
    Method,
    Piggyback,
    RandomPolicy,
    RepNet,
    ResidualAdapter,
    SparseUpdate,
    SpotTune,
    ablations,
)
from swr_keras.methods.method import MethodAtCost
from swr_keras.training.fit import Fit

MULTILINGUAL = "multilingual"
"""The base as it is, where it was trained on the words of the task."""

_SWR = "swr"


@dataclasses.dataclass(frozen=True)
class Shared:
    """What the methods of a benchmark have in common.

    Attributes:
        swr: SWR, whose settings those of the same cost share; its `fit` has the rate.
        random_policies: Number of random policies.
    """

    swr: SWR
    random_policies: int

    @property
    def fit(self) -> Fit:
        """How a task model is trained."""
        return self.swr.fit


Make = Callable[[Shared], list[Method]]


def _plain(kind: type[Method]) -> Make:
    """A method that costs what it changes, with a batch norm of its own."""
    return lambda shared: [kind(fit=shared.fit, cost=shared.swr.cost)]


def _at_cost(kind: type[MethodAtCost]) -> Make:
    """A method that chooses layers within a cost, with SWR's batch norm."""
    return lambda shared: [_of_same_cost(kind, shared)]


def _of_same_cost(kind, shared, **settings):
    names = ("fit", "batch_norm", "cost", "first_layer")
    return kind(**{name: getattr(shared.swr, name) for name in names}, **settings)


def _random(shared):
    draws = range(shared.random_policies)
    return [_of_same_cost(RandomPolicy, shared, draw=draw) for draw in draws]


def _ablation(name: str) -> Make:
    return lambda shared: [ablations(shared.swr)[name]]


METHODS: dict[str, Make] = {
    "classifier_only": _plain(ClassifierOnly),
    "classifier_and_batch_norm": _plain(ClassifierAndBatchNorm),
    "fine_tuning_all": _plain(FineTuningAll),
    "spot_tune": _plain(SpotTune),
    "residual_adapter": _plain(ResidualAdapter),
    "rep_net": _plain(RepNet),
    "taps": _plain(TAPS),
    "piggyback": _plain(Piggyback),
    _SWR: lambda shared: [shared.swr],
    "gradient_selection": _at_cost(GradientSelection),
    "sparse_update": _at_cost(SparseUpdate),
    "last_layers_first": _at_cost(LastLayersFirst),
    "depthwise_first": _at_cost(DepthwiseFirst),
    "random_policy": _random,
    **{f"{_SWR}_{name.replace('-', '_')}": _ablation(name) for name in ablations(SWR())},
}
"""How each method is made, in the order of the tables."""

NAMES = (MULTILINGUAL, *METHODS)


def make(name: str, shared: Shared, learning_rate: float | None) -> list[Method]:
    """Makes a method, or its repetitions, that trains at a learning rate.

    Args:
        name: One of `METHODS`.
        shared: What the methods have in common.
        learning_rate: The first rate, of a super-net too; `None` for that of `shared`.
    """
    if learning_rate is not None:
        shared = dataclasses.replace(shared, swr=_at_rate(shared.swr, learning_rate))
    return METHODS[name](shared)


def rate_of(name: str, rates: dict[str, float]) -> float | None:
    """Returns the rate of a method in a table; that of SWR for an ablation that has none."""
    return rates.get(name, rates.get(_SWR) if name.startswith(f"{_SWR}_") else None)


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError if a name is no method's, or comes twice."""
    if unknown := sorted(set(names) - set(NAMES)):
        raise ValueError(f"There are no methods {unknown}. Choose among {', '.join(NAMES)}.")
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"Name one or more methods, each once. Received: {list(names)}.")


def _at_rate(swr: SWR, rate: float) -> SWR:
    supernet = dataclasses.replace(swr.learning.supernet, learning_rate=rate)
    return dataclasses.replace(
        swr,
        fit=dataclasses.replace(swr.fit, learning_rate=rate),
        learning=dataclasses.replace(swr.learning, supernet=supernet),
    )
