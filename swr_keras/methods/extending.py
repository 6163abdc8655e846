"""What the methods that add layers to a base have in common."""

import dataclasses
from typing import ClassVar

from swr_keras.layers.extension import Extension
from swr_keras.methods.method import Method
from swr_keras.policy.policy import Policy


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtendingMethod(Method):
    """A way that adds layers to the base, which stays as it is but for batch norm and head.

    Attributes:
        extension: The layers.
    """

    needs_cost: ClassVar[bool] = False
    keeps_graph: ClassVar[bool] = False

    extension: Extension

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return Policy.from_layers(self.sizes(base, head), [], self.cost)

    def model_options(self, base, seed):
        return {"extension": self.extension}
