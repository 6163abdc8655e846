"""Layers by their gradients."""

import dataclasses
from typing import ClassVar

from swr_keras.methods.classifier_only import ClassifierOnly
from swr_keras.methods.method import MethodAtCost
from swr_keras.training.fisher import fisher_information
from swr_keras.training.fit import Fit
from swr_keras.training.task_model import TaskModel

_EXAMPLES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientSelection(MethodAtCost):
    """Trains the layers of most Fisher information for what they cost, as many as fit the target.

    The information of a policy unit is the mean over at most 256 training examples of its squared
    gradient, summed over its weights, at the base with a head that was trained on its features.

    Attributes:
        head_fit: How that head is trained.

    Source: the empirical Fisher information of Sung et al., "Training Neural Networks with Fixed
    Sparse Masks", arXiv 2111.09839, by layers and by what they cost.
    """

    name: ClassVar[str] = "gradient selection"

    head_fit: Fit = Fit(epochs=3, learning_rate=1e-2)

    def choose(self, base, task, *, target_cost, seed=0, head=None, callbacks=(), verbose="auto"):
        self.check(base, target_cost, head)
        trained = ClassifierOnly(fit=self.head_fit).adapt(
            base, task, seed=seed, head=head, callbacks=callbacks, verbose=verbose
        )
        model = TaskModel(
            base,
            list(self.units(base, head)),
            num_classes=task.num_classes,
            batch_norm=self.batch_norm,
            head=head,
        )
        own = model.task_variables()
        for name, variable in trained.task_variables().items():
            own[name].assign(variable)
        found = fisher_information(model, task, _EXAMPLES)

        def rank(units):
            per_size = [found[path] / unit.size(self.cost) for path, unit in units.items()]
            return [each / (max(per_size) or 1.0) for each in per_size]

        return self.in_order(base, target_cost, head, rank)
