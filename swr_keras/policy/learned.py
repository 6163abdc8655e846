"""The policies of every target cost, as one trained network gives them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from swr_keras.policy.network import PolicyNetwork
from swr_keras.policy.policy import Policy, check_cost, check_target_cost
from swr_keras.tensors import read_tensors, write_tensors

COSTS = tuple(step / 40 for step in range(41))
_FORMAT = "swr_keras.policies/2"
_CURE = "Remove it and search again."


class LearnedPolicies:
    """A trained policy network with the layers that it speaks of.

    Args:
        network: The network.
        sizes: Size of each policy layer by path, in the order of the model.
        kinds: Of each layer "pointwise", "depthwise", "separable", "dense", "convolution" or
            "normalization".
        cost: What the sizes are, see `Policy`.
    """

    def __init__(
        self,
        network: PolicyNetwork,
        sizes: Mapping[str, int],
        kinds: Sequence[str],
        cost: str = "parameters",
    ):
        self.network = network
        self.sizes = dict(sizes)
        self.kinds = tuple(kinds)
        self.cost = cost

    def probabilities(self, target_cost: float) -> np.ndarray:
        """Returns the probability of each policy layer to be changed, `(num_layers,)`."""
        check_target_cost(target_cost)
        cost = ops.full((1,), float(target_cost))
        return ops.convert_to_numpy(self.network.probabilities(cost)[0])

    def policy(
        self, target_cost: float, reading: str = "budget", first_layer: str | None = None
    ) -> Policy:
        """Returns the policy for a target cost; any cost can be asked for, without training.

        Args:
            target_cost: Share of the policy layers' sizes that a task may own, in [0, 1].
            reading, first_layer: As for `Policy.from_probabilities`.
        """
        return Policy.from_probabilities(
            list(self.sizes),
            list(self.sizes.values()),
            self.probabilities(target_cost).tolist(),
            target_cost,
            reading,
            self.cost,
            first_layer,
        )

    def curve(self, costs: Sequence[float] = COSTS) -> dict[str, Any]:
        """Asks for the policies of many target costs.

        Args:
            costs: Target costs in [0, 1].

        Returns:
            A dict that JSON can express. By policy layer, in the order of the model: `layers`
            (paths), `sizes` and `kinds`. By target cost: `costs`, `probabilities` (a list
            by layer for each), `expected` (cost expected of a draw), and `threshold` and `budget`,
            the costs that the two readings of a policy achieve.

        Raises:
            ValueError: For a target cost outside [0, 1].
        """
        policies = [self.policy(cost, "threshold") for cost in costs]
        return {
            "layers": list(self.sizes),
            "sizes": list(self.sizes.values()),
            "kinds": list(self.kinds),
            "costs": [float(cost) for cost in costs],
            "probabilities": [list(policy.probabilities) for policy in policies],
            "expected": [policy.expected_cost for policy in policies],
            "threshold": [policy.achieved_cost for policy in policies],
            "budget": [self.policy(cost).achieved_cost for cost in costs],
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes network and layers as a safetensors file, whole or not at all."""
        weights = {f"{i:02}": np.asarray(w) for i, w in enumerate(self.network.weights)}
        about = {
            "layers": list(self.sizes.items()),
            "kinds": self.kinds,
            "cost": self.cost,
        }
        write_tensors(path, weights, about, form=_FORMAT)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "LearnedPolicies":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is another one, or damaged.
        """
        kind = "learned policies"
        weights, about = read_tensors(path, form=_FORMAT, kind=kind, cure=_CURE)
        try:
            sizes = {str(name): int(size) for name, size in about["layers"]}
            network = PolicyNetwork(len(sizes), weights["00"].shape[-1])
            network.set_weights([weights[name] for name in sorted(weights)])
            check_cost(about["cost"])
            return cls(network, sizes, [str(each) for each in about["kinds"]], about["cost"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"'{path}' holds no learned policies ({error}). {_CURE}") from None
