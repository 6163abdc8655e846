"""A control: depthwise convolutions, then the rest."""

import dataclasses
from typing import ClassVar

import numpy as np

from swr_keras.methods.method import MethodAtCost


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthwiseFirst(MethodAtCost):
    """Trains depthwise convolutions from the first one on, then the other layers from the first on.

    Each is taken that still fits the target cost.
    """

    name: ClassVar[str] = "depthwise first"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.in_order(base, target_cost, head, _rank)


def _rank(units):
    is_depthwise = np.asarray([unit.kind == "depthwise" for unit in units.values()])
    return (is_depthwise + np.linspace(1.0, 0.0, len(units), endpoint=False)) / 2
