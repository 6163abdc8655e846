"""Layers chosen by hand."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.method import Method
from swr_keras.policy.policy import Policy


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedPolicy(Method):
    """Trains the layers that it is given; its cost is what they cost.

    Attributes:
        layers: Paths of the layers to change.
    """

    name: ClassVar[str] = "fixed policy"
    needs_cost: ClassVar[bool] = False

    layers: tuple[str, ...] = ()

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return Policy.from_layers(self.sizes(base, head), self.layers, self.cost)
