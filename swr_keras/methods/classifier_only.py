"""Training the classifier alone, or with batch norm."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.method import Method
from swr_keras.policy.policy import Policy
from swr_keras.training.fit import Fit


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOnly(Method):
    """Trains a new head on the base as it is.

    Source: "Fine-tuning Classifier" of section 4 of arXiv 2302.13435.
    """

    name: ClassVar[str] = "classifier-only"
    needs_cost: ClassVar[bool] = False

    fit: Fit = Fit(learning_rate=1e-2)
    batch_norm: str = "frozen"

    def choose(self, base, task, *, target_cost, seed=0, head=None, **options):
        return Policy.from_layers(self.sizes(base, head), [], self.cost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierAndBatchNorm(ClassifierOnly):
    """Trains a new head and all of batch norm, statistics and affine, on the base's kernels.

    What is left of a method with `batch_norm="affine"` at a target cost of 0, where only kernels
    count. Source: Frankle et al., arXiv 2003.00152.
    """

    name: ClassVar[str] = "classifier + batch norm"

    batch_norm: str = "affine"
