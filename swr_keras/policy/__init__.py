"""Which layers a task may change: the policy network, its gates and the policies it gives."""

from swr_keras.policy.gates import annealed_temperature, cost_loss, expected_cost, gumbel_gates
from swr_keras.policy.network import PolicyNetwork
from swr_keras.policy.policy import Policy

__all__ = [
    "Policy",
    "PolicyNetwork",
    "annealed_temperature",
    "cost_loss",
    "expected_cost",
    "gumbel_gates",
]
