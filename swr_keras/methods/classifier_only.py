"""Training the classifier alone."""

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

    def choose(self, sizes, target_cost, *, seed, policies):
        return Policy.from_layers(sizes, [])
