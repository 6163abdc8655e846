"""Stage 2: the chosen layers, from zero."""

import warnings
from collections.abc import Sequence

import keras

from swr_keras.policy.policy import Policy
from swr_keras.tasks.pack import TaskPack, fingerprint
from swr_keras.training.transfer_model import TransferModel


class TaskModel(TransferModel):
    """The base with the gates of a policy: deltas of the chosen layers start at zero.

    An ordinary `keras.Model` for classification: `compile`, `fit`, callbacks, `validation_data`.

    Args:
        base: A built Functional or Sequential model; it is not touched.
        policy: The layers to change: a `Policy` for this base, or paths of layers; with none of
            them, what `batch_norm` leaves to the task is trained, and the classifier.
        num_classes, batch_norm, head, extension: As for `TransferModel`.

    Raises:
        ValueError: If the policy was made for other layers; see also `reparametrize`.

    Source: section 2.3 of arXiv 2302.13435.
    """

    def __init__(
        self,
        base,
        policy: Policy | Sequence[str],
        *,
        num_classes=None,
        batch_norm="statistics",
        head=None,
        extension=None,
        **kwargs,
    ):
        super().__init__(
            base,
            num_classes=num_classes,
            batch_norm=batch_norm,
            head=head,
            extension=extension,
            **kwargs,
        )
        if not isinstance(policy, Policy):
            parameters = {path: unit.parameters for path, unit in self.units.items()}
            policy = Policy.from_layers(parameters, policy)
        sizes = {path: unit.size(policy.cost) for path, unit in self.units.items()}
        if sizes != dict(zip(policy.layers, policy.sizes, strict=True)):
            differing = sorted(
                set(sizes.items()) ^ set(zip(policy.layers, policy.sizes, strict=True))
            )
            raise ValueError(
                f"The policy was made for other layers than those of '{base.name}'. Differing "
                f"(layer, size): {differing[:6]}. Learn a policy on this base, with the same "
                f"`batch_norm`; here it is {batch_norm!r}."
            )
        if policy.target_cost > 0 and not policy.selected_layers:
            warnings.warn(
                f"The policy for a target cost of {policy.target_cost:.3g} changes no layer, so "
                "the classifier alone is trained. The smallest cost that opens a layer is "
                f"{policy.smallest_cost:.3g}; ask for at least that much (reading: "
                f"'{policy.reading}').",
                stacklevel=2,
            )
        self._policy = policy
        self.base_fingerprint = fingerprint(base)
        self._open(policy.selected_layers, for_good=True)

    @property
    def policy(self) -> Policy:
        """The layers that the task changes."""
        return self._policy

    def pack(self) -> TaskPack:
        """Returns what makes this task of the base, as a value that can be saved."""
        return TaskPack(
            arrays=self._packed(),
            policy=self.policy,
            num_classes=self.num_classes,
            batch_norm=self.batch_norm,
            head=self.head_path,
            base_fingerprint=self.base_fingerprint,
            extension=self.extension,
        )

    @classmethod
    def from_pack(cls, base, pack: TaskPack) -> "TaskModel":
        """Rebuilds the model of a pack on its base.

        Raises:
            ValueError: If the base isn't the one the pack was made on, or if an array of the pack
                is missing, unknown or of another shape.
        """
        pack.check_base(base)
        model = cls(
            base,
            pack.policy,
            num_classes=pack.num_classes,
            batch_norm=pack.batch_norm,
            head=pack.head,
            extension=pack.extension,
        )
        pack.assign_to(model.model, model._unpacked())
        return model

    def _unpacked(self) -> dict[str, keras.Variable]:
        """The variables that a pack gives their values, masks as deltas."""
        return self.task_variables()

    def _packed(self):
        return {name: variable.numpy() for name, variable in self.task_variables().items()}
