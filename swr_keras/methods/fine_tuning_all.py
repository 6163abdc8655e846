"""Fine-tuning of every layer."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.method import Method


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningAll(Method):
    """Trains every convolution and dense layer, batch norm and a new head.

    Source: "Fine-tuning All" of section 4 of arXiv 2302.13435.
    """

    name: ClassVar[str] = "fine-tuning all"
    needs_cost: ClassVar[bool] = False

    batch_norm: str = "affine"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.every_layer(base, head)
