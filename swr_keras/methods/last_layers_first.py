"""A control: layers from the output on."""

import dataclasses
from typing import ClassVar

import numpy as np

from swr_keras.methods.method import MethodAtCost


@dataclasses.dataclass(frozen=True, kw_only=True)
class LastLayersFirst(MethodAtCost):
    """Trains the layers from the last one on, each that still fits the target cost."""

    name: ClassVar[str] = "last layers first"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.in_order(
            base, target_cost, head, lambda units: np.linspace(0.0, 1.0, len(units))
        )
