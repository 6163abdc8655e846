"""What one policy network answers over the whole range of target costs."""

from collections.abc import Sequence
from typing import Any

from keras import layers

from swr_keras.policy.policy import Policy
from swr_keras.training.policy_search import PolicySearch

COSTS = tuple(step / 40 for step in range(41))


def policy_curve(search: PolicySearch, costs: Sequence[float] = COSTS) -> dict[str, Any]:
    """Asks a trained search for its policy at many target costs; no training, no data.

    Args:
        search: The search.
        costs: Target costs in [0, 1].

    Returns:
        A dict that JSON can express. By policy layer, in the order of the model: `layers` (paths),
        `num_parameters` and `kinds` ("pointwise", "depthwise", "separable", "dense" or
        "convolution"). By target cost: `costs`, `probabilities` (a list by layer for each),
        `expected` (cost expected of a draw), and `threshold` and `budget`, the costs that the two
        readings of a policy achieve.

    Raises:
        ValueError: For a target cost outside [0, 1].
    """
    policies = [search.policy(cost, "threshold") for cost in costs]
    return {
        "layers": list(search.supernet.policy_layers),
        "num_parameters": list(search.num_parameters),
        "kinds": [_kind(layer) for layer in search.supernet.policy_layers.values()],
        "costs": [float(cost) for cost in costs],
        "probabilities": [list(policy.probabilities) for policy in policies],
        "expected": [policy.expected_cost for policy in policies],
        "threshold": [policy.achieved_cost for policy in policies],
        "budget": [_budget(policy).achieved_cost for policy in policies],
    }


def _budget(policy):
    return Policy.from_probabilities(
        policy.layers, policy.num_parameters, policy.probabilities, policy.target_cost
    )


def _kind(layer) -> str:
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return "depthwise"
    if isinstance(layer, layers.SeparableConv1D | layers.SeparableConv2D):
        return "separable"
    if isinstance(layer, layers.Dense):
        return "dense"
    return "pointwise" if set(layer.kernel_size) == {1} else "convolution"
