"""What the methods that add layers to a base have in common."""

import dataclasses
from typing import ClassVar

from swr_keras.layers.extension import Extension
from swr_keras.methods.method import Method
from swr_keras.policy.policy import Policy
from swr_keras.training.task_model import TaskModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtendingMethod(Method):
    """A way that adds layers to the base, which stays as it is but for batch norm and head.

    Attributes:
        extension: The layers.
    """

    needs_cost: ClassVar[bool] = False

    extension: Extension

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return Policy.from_layers(self.sizes(base, head), [], self.cost)

    def build(self, base, policy, *, num_classes, head=None, seed=0):
        return TaskModel(
            base,
            policy,
            num_classes=num_classes,
            batch_norm=self.batch_norm,
            head=head,
            extension=self.extension,
        )
