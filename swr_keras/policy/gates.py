"""Gates drawn from the policy network's logits, their temperature, and the loss on their cost."""

import math

import keras
from keras import ops

COST_FORMS = ("l1", "l2")


def gumbel_gates(logits, temperature, seed):
    """Draws hard 0/1 gates that pass the gradient of a softmax (straight-through).

    Args:
        logits: `(num_layers, 2)`; the first of a pair stands for an open gate.
        temperature: Positive scalar; the gradient is that of `softmax((logits + g) / temperature)`
            with g drawn from the standard Gumbel distribution.
        seed: `keras.random.SeedGenerator` or an integer.

    Returns:
        `(num_layers,)`, each 0.0 or 1.0.

    Source: section 2.2 of arXiv 2302.13435; Jang et al., arXiv 1611.01144.
    """
    uniform = keras.random.uniform(ops.shape(logits), minval=1e-7, maxval=1.0 - 1e-7, seed=seed)
    noisy = (logits - ops.log(-ops.log(uniform))) / temperature
    soft = ops.softmax(noisy)[..., 0]
    hard = ops.cast(noisy[..., 0] > noisy[..., 1], soft.dtype)
    return soft + ops.stop_gradient(hard - soft)


def expected_cost(probabilities, layer_weights):
    """Returns sum_l w_l p_l: `(..., num_layers)` and `(num_layers,)` to `(...,)`."""
    return ops.sum(probabilities * layer_weights, axis=-1)


def cost_loss(expected, target, form):
    """Distance of the expected from the target cost, averaged.

    Args:
        expected: Expected costs `(n,)`.
        target: Target costs `(n,)`.
        form: `"l1"`, |expected - target|, or `"l2"`, its square.

    Source: eq. (2) of arXiv 2302.13435; which of the forms it is isn't known.
    """
    error = expected - target
    return ops.mean(ops.abs(error) if form == "l1" else ops.square(error))


def annealed_temperature(progress, start=2.0, end=0.5) -> float:
    """Temperature after a share `progress` of the training, by a cosine from start to end."""
    progress = min(max(progress, 0.0), 1.0)
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * progress))


def straight_through(values, threshold):
    """Returns 1.0 where a value is at least the threshold, else 0.0, with the gradient of `values`.

    Source: Bengio et al., arXiv 1308.3432.
    """
    hard = ops.cast(values >= threshold, values.dtype)
    return values + ops.stop_gradient(hard - values)
