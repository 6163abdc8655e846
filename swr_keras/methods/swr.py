"""Scalable weight reparametrization: which layers to change is learned."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from swr_keras.methods.method import Method, MethodAtCost
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy, check_reading, check_target_cost
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.refinement import SuperNetLoss, refine
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task import Task
from swr_keras.training.task_model import TaskModel

_SUPERNET_EPOCHS = 10
_MEASURED_EXAMPLES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyLearning:
    """How the policies of every target cost are learned (stage 1).

    Attributes:
        supernet: How the super-net is trained; 10 epochs, or as many as make 200 steps, by default.
        sample_gates: Whether it trains with gates drawn for each batch, or with all of them open.
        search: How the policy network is trained against it.

    Source: section 2.3 of arXiv 2302.13435.
    """

    supernet: Fit = Fit()
    sample_gates: bool = True
    search: SearchFit = SearchFit()

    def resolved(self, base: keras.Model, task: Task) -> "PolicyLearning":
        """Returns it with the numbers that depend on the base and the data filled in."""
        return dataclasses.replace(
            self, supernet=self.supernet.resolved(base, task, usual_epochs=_SUPERNET_EPOCHS)
        )

    def plan(self, task: Task) -> dict[str, tuple[int, int]]:
        """Returns epochs and examples of "super-net" and "policy search"."""
        return {
            "super-net": self.supernet.plan(task, _SUPERNET_EPOCHS),
            "policy search": self.search.plan(),
        }

    def run(
        self,
        base: keras.Model,
        task: Task,
        *,
        batch_norm: str,
        cost: str,
        seed: int = 0,
        head: str | None = None,
        states: tuple[str | os.PathLike, str | os.PathLike] | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> tuple[PolicySearch, dict[str, list[dict[str, float]]]]:
        """Trains a super-net and the policy network against it.

        Args:
            base, task, seed, head, callbacks, verbose: As for `Method.adapt`.
            batch_norm: What of batch norm is the task's.
            cost: What costs are shares of.
            states: Files from which the two trainings go on after an interruption.

        Returns:
            The search, whose `policies` answer for every cost, and the logs of the epochs of
            "super-net" and "policy search".
        """
        settings = self.resolved(base, task)
        common: dict[str, Any] = {"callbacks": callbacks, "verbose": verbose}
        supernet_state, search_state = states or (None, None)
        supernet = SuperNet(
            base,
            num_classes=task.num_classes,
            batch_norm=batch_norm,
            head=head,
            sample_gates=self.sample_gates,
            seed=seed,
        )
        logs = {
            "super-net": settings.supernet.run(
                supernet, task, mixed_validation=True, state=supernet_state, **common
            )
        }
        search = PolicySearch(supernet, cost=cost, seed=seed)
        logs["policy search"] = self.search.run(
            search, task, self.supernet.batch_size, state=search_state, **common
        )
        return search, logs


@dataclasses.dataclass(frozen=True, kw_only=True)
class SWR(MethodAtCost):
    """Learns which layers to change at a target cost, and trains these from zero deltas.

    Attributes:
        learning: How the policies are learned.
        reading: `"budget"` or `"threshold"`, see `Policy.from_probabilities`; or `"refined"`, the
            best found on the super-net, see `training.refinement.refine`.
        tries: Policies that `"refined"` tries.

    Source: section 2 of arXiv 2302.13435, which reads by threshold.
    """

    name: ClassVar[str] = "SWR"

    learning: PolicyLearning = PolicyLearning()
    reading: str = "refined"
    tries: int = 100

    def __post_init__(self):
        super().__post_init__()
        check_reading(self.reading)
        if self.tries < 1:
            raise ValueError(f"`tries` must be at least 1. Received: {self.tries}.")

    def choose(self, base, task, *, target_cost, seed=0, head=None, callbacks=(), verbose="auto"):
        self.check(base, target_cost, head)
        search, _ = self.learning.run(
            base,
            task,
            batch_norm=self.batch_norm,
            cost=self.cost,
            seed=seed,
            head=head,
            callbacks=callbacks,
            verbose=verbose,
        )
        return self.read(search.policies, search.supernet, task, target_cost, seed)[0]

    def read(
        self,
        policies: LearnedPolicies,
        supernet: SuperNet,
        task: Task,
        target_cost: float,
        seed: int = 0,
    ) -> tuple[Policy, dict[str, float] | None]:
        """Reads the policy of a target cost from those that were learned against a super-net.

        Returns:
            The policy and, where it is refined, `Refined.losses`.
        """
        if self.reading != "refined":
            return policies.policy(target_cost, self.reading, self.first_layer), None
        loss = SuperNetLoss(supernet, task, _MEASURED_EXAMPLES)
        found = refine(
            policies,
            target_cost,
            loss,
            tries=self.tries,
            seed=seed,
            first_layer=self.first_layer,
        )
        return found.policy, found.losses


def transfer(
    base: keras.Model,
    x: Any,
    y: Any = None,
    *,
    target_cost: float,
    num_classes: int | None = None,
    validation_data: Any = None,
    method: Method = SWR(),
    head: str | None = None,
    loss: keras.losses.Loss | str | None = None,
    metrics: Sequence[Any] | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> TaskModel:
    """Learns which layers a new task should change, and trains those.

    Args:
        base: A built Functional or Sequential model; it is not touched.
        x, y: As for `keras.Model.fit`: arrays, a `keras.utils.PyDataset`, or a `tf.data.Dataset`
            of batches `(inputs, labels)`.
        target_cost: Share of the policy layers' sizes that the task may own, in [0, 1].
        num_classes: Outputs of the task's head; as many as the base's by default.
        validation_data: As for `keras.Model.fit`, batches of mixed classes; reported, never
            selected on.
        method: The method with its settings, such as `SWR(fit=Fit(epochs=30))`.
        head: Path of the base's head; by default its last layer with weights.
        loss: Loss of the task; by default the cross-entropy that suits the head.
        metrics: Metrics of the task; by default the accuracy.
        seed: Seed of the draws of costs and gates. Seed the rest by `keras.utils.set_random_seed`.
        callbacks, verbose: As for `keras.Model.fit`, in every training.

    Returns:
        The trained task model: `.merge()` gives the plain Keras model, `.pack()` the task pack.

    Raises:
        ValueError: For a target cost outside [0, 1]; see also `reparametrize`.
    """
    check_target_cost(target_cost)
    task = GivenData(
        base,
        x,
        y,
        validation_data=validation_data,
        num_classes=num_classes,
        loss=loss,
        metrics=metrics,
        seed=seed,
    )
    return method.adapt(
        base,
        task,
        target_cost=target_cost,
        seed=seed,
        head=head,
        callbacks=callbacks,
        verbose=verbose,
    )
