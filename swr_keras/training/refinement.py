"""Policies measured on the super-net, and the best of many of them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from swr_keras.policy.budget import fill_budget
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy
from swr_keras.training.heads import task_loss
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task import Task

_BATCH = 64
_RANDOM_POLICIES = 50
_MOST_CLOSED = 2

Loss = Callable[[Sequence[bool]], float]


class SuperNetLoss:
    """The loss of a super-net whose gates are those of a policy, on examples that stay the same.

    It runs as in the policy search: batch norm that is the task's normalises with the statistics
    of the batch.

    Args:
        supernet: A trained super-net.
        task: Its task, of whose training examples it takes the first, augmented as they come.
        examples: How many, in whole batches of 64.
        label_smoothing: As for `default_loss`, where the super-net isn't compiled.
    """

    def __init__(self, supernet: SuperNet, task: Task, examples: int, label_smoothing: float = 0.0):
        self.supernet = supernet
        if not supernet.compiled:
            supernet.compile(loss=task_loss(supernet, task, label_smoothing))
        # Data that come in batches have a size of their own.
        batches = task.training(_BATCH).rebatch(_BATCH)
        self.batches = list(batches.take(-(-examples // _BATCH)))
        self._compiled = tf.function(self._batch_loss, reduce_retracing=True)

    def __call__(self, selected: Sequence[bool]) -> float:
        """Returns the mean loss with the gates of the selected units open, the others closed."""
        gates = tf.constant(np.asarray(selected), "float32")
        return float(np.mean([self._compiled(batch, gates) for batch in self.batches]))

    def _batch_loss(self, batch, gates):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        loss = self.supernet.compute_loss(x, y, self.supernet(x, gates=gates), sample_weight)
        # Keras divides it by the replicas, though one device has the whole batch here.
        return loss * tf.distribute.get_strategy().num_replicas_in_sync


@dataclasses.dataclass(frozen=True)
class Refined:
    """The policy that a refinement found, and its loss on the super-net beside that of others.

    Attributes:
        policy: The policy.
        loss: Its loss.
        network_loss: Loss of the policy network's own choice, the budget reading.
        random_losses: Losses of 50 random policies of the same cost, rising.
    """

    policy: Policy
    loss: float
    network_loss: float
    random_losses: tuple[float, ...]

    @property
    def losses(self) -> dict[str, float]:
        """The losses by name: chosen, network, random_best, random_mean and random_worst."""
        return {
            "chosen": self.loss,
            "network": self.network_loss,
            "random_best": self.random_losses[0],
            "random_mean": float(np.mean(self.random_losses)),
            "random_worst": self.random_losses[-1],
        }


def refine(
    policies: LearnedPolicies,
    target_cost: float,
    loss: Loss,
    *,
    tries: int,
    seed: int = 0,
    first_layer: str | None = None,
) -> Refined:
    """Searches for the policy of least loss on the super-net, from the policy network's on.

    A third of the tries are draws from the probabilities that the network gives, each filled up to
    the target cost. From the best one an evolution goes on: it closes one or two layers, fills up
    again at random, and keeps what is better.

    Args:
        policies: What the policy search learned.
        target_cost: Share of the sizes that a task may own, in [0, 1].
        loss: Loss of a choice of layers, such as `SuperNetLoss`.
        tries: Policies to try.
        seed: Seed of the draws.
        first_layer: Path of the first layer that any of them may change, or `None`.

    Source: the choice of a sub-network by its one-shot loss, as in Guo et al., "Single Path
    One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020.
    """
    own = policies.policy(target_cost, first_layer=first_layer)
    fill = functools.partial(fill_budget, own.sizes, target_cost=target_cost, first=own.first_index)
    random = np.random.default_rng(seed)
    measured = {own.selected: loss(own.selected)}

    def measure(selected):
        if selected not in measured:
            measured[selected] = loss(selected)
        return measured[selected]

    probabilities = np.clip(own.probabilities, 1e-6, 1 - 1e-6)
    log_odds = np.log(probabilities / (1 - probabilities))
    for _ in range(tries // 3):
        ranks = log_odds + random.logistic(size=len(log_odds))
        measure(fill(ranks.tolist()))
    best = min(measured, key=measured.__getitem__)
    for _ in range(tries - tries // 3):
        child = _mutated(best, fill, random)
        if measure(child) < measured[best]:
            best = child
    others = [loss(fill(random.random(len(own.sizes)).tolist())) for _ in range(_RANDOM_POLICIES)]
    return Refined(
        policy=dataclasses.replace(own, selected=best, reading="refined"),
        loss=loss(best),  # Anew, since the least of many that dropout disturbs is too small.
        network_loss=measured[own.selected],
        random_losses=tuple(sorted(others)),
    )


def _mutated(selected, fill, random):
    """Closes one or two layers and fills up with others, in random order."""
    count = min(int(random.integers(1, _MOST_CLOSED + 1)), sum(selected))
    closed = random.choice(np.flatnonzero(selected), count, replace=False)
    kept = np.asarray(selected).copy()
    kept[closed] = False
    # Those kept come first, and those closed come back only where nothing else fits.
    ranks = np.where(kept, 2.0, random.random(len(kept)))
    ranks[closed] -= 1.0
    return fill(ranks.tolist())
