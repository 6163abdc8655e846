"""Weights that are kept or dropped."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.method import Method
from swr_keras.training.piggyback_model import PiggybackModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piggyback(Method):
    """Trains a binary mask on every kernel, and a new head; batch norm stays the base's.

    A pack of it takes a bit a weight. In flash it counts whole kernels of its own, since no int8
    runtime of ours applies masks.

    Source: Mallya et al., arXiv 1801.06519.
    """

    name: ClassVar[str] = "Piggyback"
    needs_cost: ClassVar[bool] = False
    model_class = PiggybackModel

    batch_norm: str = "frozen"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.every_layer(base, head)
