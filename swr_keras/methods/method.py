"""What every way to adapt a base has in common."""

import abc
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from swr_keras.layers.units import policy_units
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy, check_target_cost
from swr_keras.training.fit import Fit
from swr_keras.training.task import Task
from swr_keras.training.task_model import TaskModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """A way to adapt a base to a task: it chooses layers, then trains these.

    A value: equal settings, equal method. A subclass is one way, and has settings of its own.

    Attributes:
        fit: How the task model is trained.
        batch_norm: What of batch norm is the task's: `"statistics"`, `"affine"` or `"frozen"`, see
            `layers.TaskNormalization`.
        name: Name in tables.
        needs_cost: Whether it must be told a target cost; else its cost is what it changes.
        needs_search: Whether it chooses by policies that were learned before.
    """

    name: ClassVar[str]
    needs_cost: ClassVar[bool] = True
    needs_search: ClassVar[bool] = False

    fit: Fit = Fit()
    batch_norm: str = "statistics"

    @property
    def title(self) -> str:
        """Its name, with what tells it from others of the same name."""
        return self.name

    @abc.abstractmethod
    def choose(
        self,
        sizes: Mapping[str, int],
        target_cost: float | None,
        *,
        seed: int,
        policies: LearnedPolicies | None,
    ) -> Policy:
        """Chooses the layers to change.

        Args:
            sizes: Parameters of each layer that may change by path, in the order of the model.
            target_cost: Share of these parameters that the task may own, in [0, 1], where it
                `needs_cost`.
            seed: Seed of whatever is drawn.
            policies: Policies learned for this base and task, for a method that learns them.
        """

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
        policies: LearnedPolicies | None = None,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> tuple[TaskModel, list[dict[str, float]]]:
        """Trains the model of a task, and tells how it went.

        Args:
            base: A built Functional or Sequential model; it is not touched.
            task: The task's data.
            target_cost: Share of the policy layers' parameters that the task may own, in [0, 1];
                `None` for a method that needs none.
            seed: Seed of the draws of costs, gates and layers. Seed the rest by
                `keras.utils.set_random_seed`.
            head: Path of the base's head, as for `TaskModel`.
            policies: Policies that were learned before, for a method that learns them.
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
        units = policy_units(base, head=head, batch_norm=self.batch_norm)
        sizes = {path: unit.parameters for path, unit in units.items()}
        policy = self.choose(sizes, target_cost, seed=seed, policies=policies)
        model = TaskModel(
            base, policy, num_classes=task.num_classes, batch_norm=self.batch_norm, head=head
        )
        fit = self.fit.resolved(base, task)
        return model, fit.run(model, task, state=state, callbacks=callbacks, verbose=verbose)


def in_order(sizes: Mapping[str, int], ranks, target_cost: float) -> Policy:
    """Returns the policy that takes layers by falling rank, each that still fits the cost."""
    return Policy.from_probabilities(list(sizes), list(sizes.values()), list(ranks), target_cost)
