"""How the stages are trained: Adam, and a rate that falls to 0 by a cosine."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from swr_keras.training.checkpoint import Checkpoint
from swr_keras.training.heads import default_loss, default_metrics
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.task import Task

_USUAL_EPOCHS = 12
_MIN_STEPS = 200
_SMALL_PARAMETERS = 100_000
_SEARCH_BATCH_SIZE = 16
_SEARCH_EPOCHS = 10


@dataclasses.dataclass(frozen=True)
class Fit:
    """How long and how fast a model is trained.

    Attributes:
        epochs: Epochs; `None` for 12, or as many as make 200 steps.
        learning_rate: Adam's first rate, which falls to 0 by a cosine, epoch by epoch; `None` for
            2e-2 on a base of up to 100,000 parameters (tiny networks with batch norm learn best
            so), and 1e-3 on a larger one, which 1e-2 would ruin.
        batch_size: Examples a batch, where the task doesn't come in batches.

    Raises:
        ValueError: If a number is out of range.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = 64

    def __post_init__(self):
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"`epochs` must be at least 1. Received: {self.epochs}.")
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {self.batch_size}.")
        if self.learning_rate is not None and not 0 <= self.learning_rate < math.inf:
            raise ValueError(
                f"`learning_rate` must be finite and not negative. Received: {self.learning_rate}."
            )

    def resolved(self, base: keras.Model, task: Task, usual_epochs: int = _USUAL_EPOCHS) -> "Fit":
        """Returns it with the numbers that depend on the base and the data filled in."""
        rate = self.learning_rate
        return dataclasses.replace(
            self,
            epochs=self._epochs(task, usual_epochs),
            learning_rate=usual_learning_rate(base) if rate is None else rate,
        )

    def plan(self, task: Task, usual_epochs: int = _USUAL_EPOCHS) -> tuple[int, int]:
        """Returns the epochs of a training and the examples that it sees, in whole batches."""
        steps = task.steps_per_epoch(self.batch_size) or 0
        epochs = self._epochs(task, usual_epochs)
        return epochs, epochs * steps * self.batch_size

    def _epochs(self, task, usual_epochs):
        steps = task.steps_per_epoch(self.batch_size)
        least = -(-_MIN_STEPS // steps) if steps else 0
        return self.epochs or max(usual_epochs, least)

    def run(
        self,
        model: keras.Model,
        task: Task,
        *,
        mixed_validation: bool = False,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> list[dict[str, float]]:
        """Compiles and fits a model; the numbers must be `resolved`.

        Args:
            model: A base, super-net or task model.
            task: Its data.
            mixed_validation: Whether validation batches must mix the classes.
            state: File from which an interrupted training goes on, see `Checkpoint`.
            callbacks, verbose: As for `keras.Model.fit`.

        Returns:
            The logs of each epoch.
        """
        model.compile(
            keras.optimizers.Adam(self.learning_rate),
            task.loss or default_loss(model, task.labels_spec),
            metrics=_metrics(model, task),
        )
        # Variables made while the step is traced would keep its graph in memory for good.
        model.optimizer.build(model.trainable_variables)
        return _fit(
            model,
            lambda epoch: task.training(self.batch_size, epoch),
            cosine_decay,
            self.learning_rate,
            self.epochs,
            state,
            steps_per_epoch=task.steps_per_epoch(self.batch_size),
            validation_data=task.validation(mixed=mixed_validation),
            callbacks=callbacks,
            verbose=verbose,
        )


def usual_learning_rate(base: keras.Model) -> float:
    """Returns Adam's first rate that suits models adapted from a base, by its size."""
    return 2e-2 if base.count_params() <= _SMALL_PARAMETERS else 1e-3


@dataclasses.dataclass(frozen=True)
class SearchFit:
    """How a policy network is trained, on batches of 16 examples.

    Attributes:
        steps: Steps in all.
        learning_rate: Adam's first rate, which falls to 0 by a cosine.
        cost_weight: Factor of the cost loss (lambda of the paper).
        weigh_layers: Whether the cost loss weighs layers by their sizes (w_l of the paper), or all
            alike, see `PolicySearch.compile`.
    """

    steps: int = 400
    learning_rate: float = 5e-3
    cost_weight: float = 3.0
    weigh_layers: bool = True

    def __post_init__(self):
        if self.steps < 1 or self.cost_weight <= 0 or self.learning_rate < 0:
            raise ValueError(
                "A policy search needs at least one step, a positive `cost_weight` and a "
                f"`learning_rate` that isn't negative. Received: {self}."
            )

    def run(
        self,
        search: PolicySearch,
        task: Task,
        batch_size: int,
        *,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> list[dict[str, float]]:
        """Compiles and fits a policy search; arguments as for `Fit.run`.

        Args:
            batch_size: Size of the batches that the task gives, of which its own are made.
        """
        search.compile(
            keras.optimizers.Adam(self.learning_rate),
            task.loss or default_loss(search.supernet, task.labels_spec),
            cost_weight=self.cost_weight,
            weigh_layers=self.weigh_layers,
        )
        steps = max(self.steps // _SEARCH_EPOCHS, 1)

        def batches(epoch):
            every = task.training(batch_size).repeat().rebatch(_SEARCH_BATCH_SIZE)
            return every.skip(epoch * steps).prefetch(tf.data.AUTOTUNE)

        return _fit(
            search,
            batches,
            cosine_decay,
            self.learning_rate,
            _SEARCH_EPOCHS,
            state,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=verbose,
        )

    def run_jointly(
        self,
        search: JointSearch,
        task: Task,
        fit: Fit,
        *,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> list[dict[str, float]]:
        """Compiles and fits a joint search; arguments as for `Fit.run`.

        The policy network has the rate of this search, all that the super-net owns that of `fit`.

        Args:
            fit: Epochs, size of the batches, and the super-net's rate; `resolved`.
        """
        policy, owned = keras.optimizers.Adam(), keras.optimizers.Adam()
        network = {id(variable) for variable in search.network.trainable_variables}
        search.compile(
            keras.optimizers.MultiOptimizer(
                lambda variable: policy if id(variable) in network else owned
            ),
            task.loss or default_loss(search.supernet, task.labels_spec),
            metrics=_metrics(search.supernet, task),
            cost_weight=self.cost_weight,
            weigh_layers=self.weigh_layers,
        )
        search.optimizer.build(search.trainable_variables)
        rates = [(policy, self.learning_rate), (owned, fit.learning_rate)]
        return _fit(
            search,
            lambda epoch: task.training(fit.batch_size, epoch),
            _CosineDecays,
            rates,
            fit.epochs,
            state,
            steps_per_epoch=task.steps_per_epoch(fit.batch_size),
            validation_data=task.validation(mixed=True),
            callbacks=callbacks,
            verbose=verbose,
        )

    def plan(self) -> tuple[int, int]:
        """Returns the epochs of a search and the examples that it sees."""
        return _SEARCH_EPOCHS, self.steps * _SEARCH_BATCH_SIZE


def _metrics(model, task):
    if task.metrics is None and task.loss is None:
        return default_metrics(model, task.labels_spec)
    return task.metrics


def _fit(model, batches: Callable[[int], Any], decay, rate, epochs, state, callbacks, **options):
    checkpoint = Checkpoint(state) if state else None
    done = checkpoint.initial_epoch if checkpoint else 0
    history = model.fit(
        batches(done),
        epochs=epochs,
        initial_epoch=done,
        callbacks=[
            decay(rate, epochs),
            *([checkpoint] if checkpoint else []),
            *callbacks,
        ],
        shuffle=False,
        **options,
    )
    if checkpoint:
        return checkpoint.history
    names = history.history
    rows = zip(*names.values(), strict=True)
    return [dict(zip(names, map(float, values), strict=True)) for values in rows]


def cosine_decay(learning_rate: float, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that sets each epoch's rate on a half cosine from the first rate to 0."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: _on_cosine(learning_rate, epoch, epochs)
    )


class _CosineDecays(keras.callbacks.Callback):
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
