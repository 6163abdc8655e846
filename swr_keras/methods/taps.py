"""Layers that are chosen along with what they learn."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.method import Method
from swr_keras.training.taps_model import TapsModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class TAPS(Method):
    """Trains every layer with a score that opens or closes it, and batch norm.

    What it costs follows from `sparsity`. Its joint variant is TAPS on the base that
    `training.joint_base` makes of all tasks.

    Attributes:
        sparsity: Factor of the mean magnitude of the scores in the loss.
        warm_up: Epochs without that loss.

    Source: Wallingford et al., arXiv 2203.16708; one rate for scores and deltas as in
    MattWallingford/TAPS, but Adam's, whose steps don't depend on the size of a gradient.
    """

    name: ClassVar[str] = "TAPS"
    needs_cost: ClassVar[bool] = False
    model_class = TapsModel

    batch_norm: str = "affine"
    sparsity: float = 1.0
    warm_up: int = 2

    @property
    def title(self):
        return f"{self.name}, sparsity {self.sparsity:g}"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.every_layer(base, head)

    def model_options(self, base, seed):
        return {"sparsity": self.sparsity, "warm_up": self.warm_up}
