"""Epochs at a rate that falls to 0 by a cosine, on one device or several, from a state on."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from swr_keras.training.checkpoint import Checkpoint, FiniteLoss, as_numbers
from swr_keras.training.distribution import check_model, share_out


def fit_model(
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    decay: keras.callbacks.Callback,
    epochs: int,
    *,
    state,
    callbacks,
    validation_data: tf.data.Dataset | None = None,
    **options: Any,
) -> list[dict[str, float]]:
    """Fits a compiled model, on all replicas of the strategy that it was made under.

    Args:
        model: The model.
        batches: Gives the training batches from an epoch on.
        decay: Sets the rate of each epoch.
        epochs, validation_data, callbacks, **options: As for `keras.Model.fit`.
        state: File from which an interrupted training goes on, see `Checkpoint`, or `None`.

    Returns:
        The logs of each epoch, see `as_numbers`.

    Raises:
        FloatingPointError: As soon as the loss is NaN or infinite.
    """
    check_model(model)
    strategy = model.distribute_strategy
    checkpoint = Checkpoint(state) if state else None
    done = checkpoint.initial_epoch if checkpoint else 0
    if validation_data is not None:
        options |= _validation(validation_data, strategy)
    history = model.fit(
        share_out(batches(done), strategy),
        epochs=epochs,
        initial_epoch=done,
        callbacks=[decay, checkpoint or FiniteLoss(), *tree.flatten(callbacks or [])],
        shuffle=False,
        **options,
    )
    if checkpoint:
        return checkpoint.history
    names = history.history
    rows = zip(*names.values(), strict=True)
    return [as_numbers(dict(zip(names, values, strict=True))) for values in rows]


def _validation(dataset, strategy):
    if strategy.num_replicas_in_sync == 1:
        return {"validation_data": dataset}
    steps = int(dataset.cardinality())
    if steps < 0:
        return {"validation_data": share_out(dataset, strategy)}
    # What is shared out no longer tells how long it is.
    return {"validation_data": share_out(dataset.repeat(), strategy), "validation_steps": steps}


def cosine_decay(learning_rate: float, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that sets each epoch's rate on a half cosine from the first rate to 0."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: _on_cosine(learning_rate, epoch, epochs)
    )


class CosineDecays(keras.callbacks.Callback):
    """Sets the rates of several optimizers likewise, each from a first rate of its own."""

    def __init__(self, first_rates, epochs):
        super().__init__()
        self.first_rates = first_rates
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        for optimizer, rate in self.first_rates:
            optimizer.learning_rate = _on_cosine(rate, epoch, self.epochs)


def _on_cosine(first, epoch, epochs):
    return 0.5 * first * (1.0 + math.cos(math.pi * epoch / epochs))
