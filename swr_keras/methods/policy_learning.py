"""How the policies of every target cost are learned."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras

from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task import Task

_SUPERNET_EPOCHS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyLearning:
    """How the policies of every target cost are learned (stage 1).

    Attributes:
        supernet: How the super-net is trained; 10 epochs, or as many as make 200 steps, by default.
            Its label smoothing is the policy network's and that of a refined choice, too.
        sample_gates: Whether it trains with gates drawn for each batch, or with all of them open.
        search: How the policy network is trained against it.
        joint: Whether both are trained by the same steps, see `training.joint_search`, instead of
            the super-net first (the paper's ablation "without super-net"): on batches of the size
            that `supernet` says, as many examples as both would see, each at its own rate.

    Raises:
        ValueError: For a joint training with all gates open, since its gates are drawn.

    Source: section 2.3 of arXiv 2302.13435.
    """

    supernet: Fit = Fit()
    sample_gates: bool = True
    search: SearchFit = SearchFit()
    joint: bool = False

    def __post_init__(self):
        if self.joint and not self.sample_gates:
            raise ValueError(
                "In a joint training the policy network draws the gates. Received: joint=True, "
                "sample_gates=False. Leave `sample_gates` at its default."
            )

    @property
    def differences(self) -> tuple[str, ...]:
        """What tells it from the paper's own, for tables."""
        found = {
            "without super-net": self.joint,
            "without w_l": not self.search.weigh_layers,
        }
        return tuple(name for name, holds in found.items() if holds)

    def resolved(self, base: keras.Model, task: Task) -> "PolicyLearning":
        """Returns it with the numbers that depend on the base and the data filled in."""
        return dataclasses.replace(
            self, supernet=self.supernet.resolved(base, task, usual_epochs=_SUPERNET_EPOCHS)
        )

    def plan(self, task: Task) -> dict[str, tuple[int, int]]:
        """Returns epochs and examples of "super-net" and "policy search", or of a joint one."""
        supernet = self.supernet.plan(task, _SUPERNET_EPOCHS)
        if self.joint:
            fit = dataclasses.replace(self.supernet, epochs=supernet[0])
            return {"policy search": self._joint_fit(fit, task).plan(task)}
        return {"super-net": supernet, "policy search": self.search.plan()}

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
            "super-net" and "policy search"; of the latter alone if it's a joint one.
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
        if self.joint:
            joint = JointSearch(supernet, cost=cost, seed=seed)
            fit = self._joint_fit(settings.supernet, task)
            log = self.search.run_jointly(joint, task, fit, state=search_state, **common)
            return joint, {"policy search": log}
        logs = {
            "super-net": settings.supernet.run(
                supernet, task, mixed_validation=True, state=supernet_state, **common
            )
        }
        search = PolicySearch(supernet, cost=cost, seed=seed)
        logs["policy search"] = self.search.run(
            search,
            task,
            self.supernet.batch_size,
            label_smoothing=self.supernet.label_smoothing,
            state=search_state,
            **common,
        )
        return search, logs

    def _joint_fit(self, supernet: Fit, task: Task) -> Fit:
        """Lengthens the training of a super-net by as many examples as the search would see."""
        _, examples = self.search.plan()
        an_epoch = (task.steps_per_epoch(supernet.batch_size) or 0) * supernet.batch_size
        more = -(-examples // an_epoch) if an_epoch else 0
        return dataclasses.replace(supernet, epochs=(supernet.epochs or 0) + more)
