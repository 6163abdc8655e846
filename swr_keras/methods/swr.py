"""Scalable weight reparametrization: which layers to change is learned."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from swr_keras.methods.method import Method, MethodAtCost
from swr_keras.methods.policy_learning import PolicyLearning
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy, check_reading, check_target_cost
from swr_keras.training.given_data import GivenData
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.refinement import SuperNetLoss, refine
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task import Task
from swr_keras.training.task_model import TaskModel

STARTS = ("zero", "supernet")
_MEASURED_EXAMPLES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class SWR(MethodAtCost):
    """Learns which layers to change at a target cost, and trains these from zero deltas.

    Not staged, the policy network and the deltas of one target cost are trained together, as `fit`
    says for the deltas and `learning.search` for the policy network, and nothing else is trained:
    each step asks for that cost; the policy is read once, at the end; the task model has the
    deltas, the head and the batch norm of that training, without the deltas of layers that the
    policy leaves to the base.

    Attributes:
        learning: How the policies are learned.
        reading: `"budget"` or `"threshold"`, see `Policy.from_probabilities`; or `"refined"`, the
            best found on the super-net, see `training.refinement.refine`.
        tries: Policies that `"refined"` tries.
        start: What the task model starts from: `"zero"` deltas, a new head and the base's batch
            norm, or what the `"supernet"` has of all three (the paper's ablation "+ super-net
            weight").
        staged: Whether policies are learned before the task model is trained (`False` is the
            paper's ablation "not staged").
        variant: What else tells it from other rows of a table, such as "all gates open".

    Raises:
        ValueError: For a setting of a stage that `staged=False` doesn't have.

    Source: section 2 of arXiv 2302.13435, which reads by threshold.
    """

    name: ClassVar[str] = "SWR"

    learning: PolicyLearning = PolicyLearning()
    reading: str = "refined"
    tries: int = 100
    start: str = "zero"
    staged: bool = True
    variant: str = ""

    def __post_init__(self):
        super().__post_init__()
        check_reading(self.reading)
        if self.tries < 1:
            raise ValueError(f"`tries` must be at least 1. Received: {self.tries}.")
        if self.start not in STARTS:
            raise ValueError(f"`start` must be one of {STARTS}. Received: {self.start!r}.")
        if not self.staged:
            self._check_one_stage()

    def _check_one_stage(self):
        if self.reading == "refined":
            raise ValueError(
                "Policies are refined before the task model is trained, which staged=False leaves "
                "out. Received: reading='refined'. Choose 'budget' or 'threshold'."
            )
        if self.start != "zero" or self.first_layer is not None or self.learning.joint:
            raise ValueError(
                "With staged=False there is one training, of every layer, which starts from zero. "
                f"Received: start={self.start!r}, first_layer={self.first_layer!r}, "
                f"learning.joint={self.learning.joint}. Leave them at their defaults."
            )

    @property
    def row(self):
        parts = [
            *([] if self.staged else ["not staged"]),
            *self.search_differences,
            *(["+ super-net weight"] if self.start == "supernet" else []),
        ]
        return self.name + "".join(f" {p}" if p.startswith("+") else f", {p}" for p in parts)

    @property
    def search_differences(self) -> tuple[str, ...]:
        """What of its row is a matter of how its policies are learned."""
        return (*self.learning.differences, *([self.variant] if self.variant else []))

    def choose(self, base, task, *, target_cost, seed=0, head=None, callbacks=(), verbose="auto"):
        common: dict[str, Any] = {"seed": seed, "head": head}
        common |= {"callbacks": callbacks, "verbose": verbose}
        if not self.staged:
            return self._train_at_once(base, task, target_cost, **common)[0].policy
        return self._search(base, task, target_cost, **common)[0]

    def train(
        self,
        base: keras.Model,
        task: Task,
        *,
        target_cost: float | None = None,
        seed: int = 0,
        head: str | None = None,
        policy: Policy | None = None,
        supernet: SuperNet | None = None,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> tuple[TaskModel, list[dict[str, float]]]:
        """Trains the model of a task, and tells how it went; what isn't told is as for `Method`.

        Args:
            policy: The layers to change, where they are chosen already; of the staged method only.
            supernet: With a `policy` and `start="supernet"`, the super-net it was chosen on.

        Raises:
            ValueError: Also for a policy without the super-net that the model is to start from,
                and for a policy where none can be given.
        """
        check_target_cost(target_cost)
        common: dict[str, Any] = {"callbacks": callbacks, "verbose": verbose}
        if not self.staged:
            if policy is not None:
                raise ValueError(
                    "With staged=False the policy comes of the training. Leave `policy` out."
                )
            return self._train_at_once(
                base, task, target_cost, seed=seed, head=head, state=state, **common
            )
        if policy is None:
            policy, supernet = self._search(base, task, target_cost, seed=seed, head=head, **common)
        model = self.build(base, policy, num_classes=task.num_classes, head=head, seed=seed)
        if self.start == "supernet":
            if supernet is None:
                raise ValueError(
                    "The model starts from a super-net (start='supernet'), and none came with the "
                    "policy. Pass `supernet=`, or leave `policy` out to have both learned."
                )
            model.start_from(supernet.task_variables())
        return model, self.fit.resolved(base, task).run(model, task, state=state, **common)

    def _search(self, base, task, target_cost, *, seed, head, callbacks, verbose):
        """Stage 1: the policy of a target cost, and the super-net it was learned against."""
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
        supernet = search.supernet
        return self.read(search.policies, supernet, task, target_cost, seed)[0], supernet

    def _train_at_once(self, base, task, target_cost, *, seed, head, state=None, **common):
        supernet = SuperNet(
            base, num_classes=task.num_classes, batch_norm=self.batch_norm, head=head, seed=seed
        )
        search = JointSearch(supernet, target_cost=target_cost, cost=self.cost, seed=seed)
        logs = self.learning.search.run_jointly(
            search, task, self.fit.resolved(base, task), state=state, **common
        )
        policy = search.policy(target_cost, self.reading)
        model = self.build(base, policy, num_classes=task.num_classes, head=head, seed=seed)
        model.start_from(supernet.task_variables())
        return model, logs

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
        smoothing = self.learning.supernet.label_smoothing
        loss = SuperNetLoss(supernet, task, _MEASURED_EXAMPLES, smoothing)
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
    target_cost: float | None = None,
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
        target_cost: Share of the policy layers' sizes that the task may own, in [0, 1]; `None` for
            a method that needs none.
        num_classes: Outputs of the task's head; as many as the base's by default.
        validation_data: As for `keras.Model.fit`, batches of mixed classes; reported, never
            selected on.
        method: The method with its settings, such as `SWR(fit=Fit(epochs=30))`.
        head: Path of the base's head; by default the one that its output comes from.
        loss: Loss of the task; by default the cross-entropy that suits the head.
        metrics: Metrics of the task; by default the accuracy.
        seed: Seed of the order of arrays and the draws of costs and gates. Seed the rest by
            `keras.utils.set_random_seed`.
        callbacks, verbose: As for `keras.Model.fit`, in every training.

    Returns:
        The trained task model: `.merge()` gives the plain Keras model, `.pack()` the task pack.

    Raises:
        ValueError: For a target cost outside [0, 1] or none where one is needed; see also
            `reparametrize`.
        FloatingPointError: In training, as soon as the loss is NaN or infinite.
    """
    if method.needs_cost:
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
