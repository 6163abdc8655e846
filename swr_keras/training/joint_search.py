"""The policy network and the deltas, trained by the same steps."""

from keras import ops

from swr_keras.policy.policy import check_target_cost
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet


class JointSearch(PolicySearch):
    """Trains a policy network together with the deltas, head and batch norm of a super-net.

    Each step is one of `PolicySearch`, on a super-net that learns from it, too: the loss trains
    the policy network and what a task may own in the layers whose gates were drawn open, and batch
    norm keeps the statistics.

    Args:
        supernet: A `SuperNet`, as it was made; it is trained in place.
        target_cost: The one target cost that each step asks for; `None` draws it as `PolicySearch`
            does. With one, `tracking_error` and the warning of `fit` are of this cost.
        cost, hidden_units, seed: As for `PolicySearch`.

    Source: the ablations "without super-net" (costs drawn) and "not staged" (one cost) of table 2
    and figure 2 of arXiv 2302.13435, which says little more than their names.
    """

    def __init__(self, supernet: SuperNet, *, target_cost: float | None = None, **kwargs):
        super().__init__(supernet, **kwargs)
        if target_cost is not None:
            check_target_cost(target_cost)
            self.cost_grid = (float(target_cost),)
        self.target_cost = target_cost

    @property
    def trainable_variables(self):
        return [*self.network.trainable_variables, *self.supernet.owned_variables]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    def _drawn_costs(self, count):
        if self.target_cost is None:
            return super()._drawn_costs(count)
        return ops.full((count,), self.target_cost)

    def _outputs(self, inputs, gates, training):
        return self.supernet(inputs, gates=gates, keep_statistics=training)
