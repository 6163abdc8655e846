"""Optimizers whose weight decay pulls each variable towards where it came from."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Anchors = Sequence[tuple[keras.Variable, np.ndarray]]
"""Variables, each with the value that a decay pulls it towards; all others are pulled to zero."""

OPTIMIZERS = ("adam", "sgd")
_MOMENTUM = 0.9


def make_optimizer(
    name: str, learning_rate: float, weight_decay: float = 0.0, anchors: Anchors = ()
) -> keras.optimizers.Optimizer:
    """Returns a new optimizer.

    Args:
        name: `"adam"`, or `"sgd"` with a momentum of 0.9.
        learning_rate: Its first rate.
        weight_decay: Strength of the decay. That of SGD is part of the gradient (L2), as in
            PyTorch; that of Adam is apart from it (AdamW).
        anchors: What it pulls variables towards, where that isn't zero.
    """
    if not weight_decay:
        if name == "sgd":
            return keras.optimizers.SGD(learning_rate, momentum=_MOMENTUM)
        return keras.optimizers.Adam(learning_rate)
    if name == "sgd":
        return AnchoredSGD(
            learning_rate, momentum=_MOMENTUM, weight_decay=weight_decay, anchors=anchors
        )
    return AnchoredAdam(learning_rate, weight_decay=weight_decay, anchors=anchors)


@keras.saving.register_keras_serializable(package="swr_keras")
class AnchoredSGD(keras.optimizers.SGD):
    """SGD that adds `weight_decay * (variable - anchor)` to each gradient, as PyTorch's has it.

    Args:
        weight_decay: Strength of the decay.
        anchors: Values by variable; zero where there is none. A file doesn't keep them.
        learning_rate, momentum, **kwargs: As for `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        *,
        weight_decay: float,
        anchors: Anchors = (),
        **kwargs,
    ):
        super().__init__(learning_rate, momentum, **kwargs)
        self.strength = weight_decay
        self._distance = _Distance(anchors)

    def apply(self, grads, trainable_variables):
        # The gradients of all replicas are summed up.
        share = self.strength / tf.distribute.get_strategy().num_replicas_in_sync
        decayed = [
            grad if grad is None else grad + share * self._distance(variable)
            for grad, variable in zip(grads, trainable_variables, strict=True)
        ]
        return super().apply(decayed, trainable_variables)

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.strength}


@keras.saving.register_keras_serializable(package="swr_keras")
class AnchoredAdam(keras.optimizers.Adam):
    """Adam that takes `rate * weight_decay * (variable - anchor)` off each variable (AdamW).

    Args:
        weight_decay: Strength of the decay.
        anchors: Values by variable; zero where there is none. A file doesn't keep them.
        learning_rate, **kwargs: As for `keras.optimizers.Adam`.
    """

    def __init__(
        self, learning_rate=0.001, *, weight_decay: float, anchors: Anchors = (), **kwargs
    ):
        super().__init__(learning_rate, **kwargs)
        self.strength = weight_decay
        self._distance = _Distance(anchors)

    def apply(self, grads, trainable_variables):
        for grad, variable in zip(grads, trainable_variables, strict=True):
            if grad is not None:
                share = self.strength * tf.cast(self.learning_rate, variable.dtype)
                variable.assign(variable - share * self._distance(variable))
        return super().apply(grads, trainable_variables)

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.strength}


class _Distance:
    """How far variables are from their anchors."""

    def __init__(self, anchors: Anchors):
        self._anchors = {id(variable): value for variable, value in anchors}

    def __call__(self, variable: keras.Variable) -> Any:
        anchor = self._anchors.get(id(variable))
        value = tf.convert_to_tensor(variable)
        return value if anchor is None else value - anchor
