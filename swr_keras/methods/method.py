"""What every way to adapt a base has in common."""

import abc
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from swr_keras.layers.units import PolicyUnit, policy_units
from swr_keras.policy.budget import check_first_layer
from swr_keras.policy.policy import Policy, check_cost, check_target_cost
from swr_keras.training.fit import Fit
from swr_keras.training.task import Task
from swr_keras.training.task_model import TaskModel

Rank = Callable[[Mapping[str, PolicyUnit]], Sequence[float] | np.ndarray]

_LEAVES_NORMS = ("owned", "frozen")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """A way to adapt a base to a task: it chooses layers, then trains these.

    A value: equal settings, equal method. A subclass is one way, and has settings of its own.

    Attributes:
        fit: How the task model is trained.
        batch_norm: What of batch norm is the task's: `"statistics"`, `"affine"`, `"shift"`,
            `"frozen"` or `"owned"`, see `layers.TaskNormalization`.
        cost: What costs are shares of, `"parameters"` or `"flash"`, see `Policy`.
        name: Name of the method.
        needs_cost: Whether it must be told a target cost; else its cost is what it changes.
        model_class: Class of the model that it trains.
        keeps_graph: Whether a merged model has the layers of the base, and no others.
        deployable: Whether a device can run its models.
    """

    name: ClassVar[str]
    needs_cost: ClassVar[bool] = True
    model_class: ClassVar[type[TaskModel]] = TaskModel
    keeps_graph: ClassVar[bool] = True
    deployable: ClassVar[bool] = True

    fit: Fit = Fit()
    batch_norm: str = "owned"
    cost: str = "flash"

    def __post_init__(self):
        check_cost(self.cost)

    @property
    def row(self) -> str:
        """Its row in tables: its name, and what changes the method; repetitions share a row."""
        return self.name

    @property
    def title(self) -> str:
        """Its row, with what tells it from others of the same row."""
        return self.row

    @abc.abstractmethod
    def choose(
        self,
        base: keras.Model,
        task: Task,
        *,
        target_cost: float | None,
        seed: int = 0,
        head: str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> Policy:
        """Chooses the layers to change; arguments as for `train`."""

    def build(
        self,
        base: keras.Model,
        policy: Policy,
        *,
        num_classes: int | None,
        head: str | None = None,
        seed: int = 0,
    ) -> TaskModel:
        """Makes the model of a task, untrained.

        Args:
            base, head: As for `train`.
            policy: The layers to change.
            num_classes: Outputs of the task's head; as many as the base's by default.
            seed: Seed of what the model draws in training.
        """
        return self.model_class(
            base,
            policy,
            num_classes=num_classes,
            batch_norm=self.batch_norm,
            head=head,
            **self.model_options(base, seed),
        )

    def model_options(self, base: keras.Model, seed: int) -> dict[str, Any]:
        """Returns what its model takes besides what every task model does."""
        return {}

    def every_layer(self, base: keras.Model, head: str | None) -> Policy:
        """Returns the policy that changes all that a task may."""
        sizes = self.sizes(base, head)
        return Policy.from_layers(sizes, list(sizes), self.cost)

    def units(self, base: keras.Model, head: str | None) -> dict[str, PolicyUnit]:
        """Returns the policy units of a base by path, in the order of the model."""
        return policy_units(base, head=head, batch_norm=self.batch_norm)

    def sizes(self, base: keras.Model, head: str | None) -> dict[str, int]:
        """Returns what each policy unit of a base costs, by path, in the order of the model."""
        return {path: unit.size(self.cost) for path, unit in self.units(base, head).items()}

    def adapt(self, base: keras.Model, task: Task, **options: Any) -> TaskModel:
        """Trains the model of a task; arguments and errors are those of `train`.

        Returns:
            The trained model: `.merge()` gives the plain Keras model, `.pack()` the task pack.
        """
        return self.train(base, task, **options)[0]

    def train(
        self,
        base: keras.Model,
        task: Task,
        *,
        target_cost: float | None = None,
        seed: int = 0,
        head: str | None = None,
        policy: Policy | None = None,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> tuple[TaskModel, list[dict[str, float]]]:
        """Trains the model of a task, and tells how it went.

        Args:
            base: A built Functional or Sequential model; it is not touched.
            task: The task's data.
            target_cost: Share of the policy layers' sizes that the task may own, in [0, 1];
                `None` for a method that needs none.
            seed: Seed of the draws of costs, gates and layers. Seed the rest by
                `keras.utils.set_random_seed`.
            head: Path of the base's head, as for `TaskModel`.
            policy: The layers to change, where they are chosen already.
            state: File from which an interrupted training goes on, see `Checkpoint`.
            callbacks, verbose: As for `keras.Model.fit`.

        Returns:
            The trained model and the logs of its epochs.

        Raises:
            ValueError: For a target cost outside [0, 1] or none where one is needed; see also
                `reparametrize`.
        """
        if self.needs_cost:
            check_target_cost(target_cost)
        common: dict[str, Any] = {"callbacks": callbacks, "verbose": verbose}
        if policy is None:
            policy = self.choose(
                base, task, target_cost=target_cost, seed=seed, head=head, **common
            )
        model = self.build(base, policy, num_classes=task.num_classes, head=head, seed=seed)
        return model, self.fit.resolved(base, task).run(model, task, state=state, **common)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodAtCost(Method):
    """A way that chooses layers within a target cost.

    Attributes:
        first_layer: Path of the first policy unit that may change, or `None` for any. What comes
            before it is the base's, batch norm included, so that a device that runs several tasks
            at once computes it once.
    """

    first_layer: str | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.first_layer is not None and self.batch_norm not in _LEAVES_NORMS:
            raise ValueError(
                "What comes before `first_layer` is the base's, so `batch_norm` must be one of "
                f"{_LEAVES_NORMS}. Received: first_layer={self.first_layer!r}, "
                f"batch_norm={self.batch_norm!r}."
            )

    def check(self, base: keras.Model, target_cost: float, head: str | None = None) -> None:
        """Raises ValueError if no layer from `first_layer` on may change, as far as that is known.

        Args:
            base, target_cost, head: As for `train`.
        """
        if self.first_layer is not None:
            check_first_layer(self.sizes(base, head), self.first_layer, target_cost)

    def in_order(
        self, base: keras.Model, target_cost: float, head: str | None, rank: Rank
    ) -> Policy:
        """Returns the policy that takes layers by falling rank, each that still fits the cost.

        Args:
            base, target_cost, head: As for `train`.
            rank: Gives the ranks of the policy units, in [0, 1].
        """
        units = self.units(base, head)
        return Policy.from_probabilities(
            list(units),
            [unit.size(self.cost) for unit in units.values()],
            np.asarray(rank(units)).tolist(),
            target_cost,
            cost=self.cost,
            first_layer=self.first_layer,
        )
