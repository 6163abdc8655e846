"""A fixed choice: the last biases and kernels of late pointwise convolutions."""

import dataclasses
from typing import ClassVar

import numpy as np

from swr_keras.methods.method import MethodAtCost

_CHEAP = "normalization"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseUpdate(MethodAtCost):
    """Trains late batch norm, then late pointwise kernels, each that still fits the target cost.

    The source trains the last biases of a network, and the kernels of a few pointwise convolutions
    among its later layers that a search found. In networks with batch norm its shift is the bias;
    here the norm goes with it, since a device stores bias and scale of a channel together. In the
    later half of the policy units, from the last one on, it takes batch norm that is a unit by
    itself, then the kernels of pointwise convolutions (of all layers where there is none), with
    their batch norm; last, what of the rest still fits. Batch norm that a device folds into a layer
    is the task's only with that layer's kernel. Whole kernels are trained, where the source takes
    some input channels of the largest, and gradients aren't scaled, since training isn't int8 here.

    Source: Lin et al., "On-Device Training Under 256KB Memory", arXiv 2206.15472; the layers of
    mit-han-lab/tiny-training.
    """

    name: ClassVar[str] = "sparse update"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return self.in_order(base, target_cost, head, _rank)


def _rank(units):
    kinds = [unit.kind for unit in units.values()]
    kernels = "pointwise" if "pointwise" in kinds else None
    is_late = np.arange(len(kinds)) >= len(kinds) // 2
    tiers = [2 if kind == _CHEAP else int(kernels in (kind, None)) for kind in kinds]
    return (is_late * tiers + np.linspace(0.0, 1.0, len(kinds), endpoint=False)) / 3
