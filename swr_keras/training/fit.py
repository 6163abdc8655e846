"""How the stages are trained: by Adam or SGD, at a rate that falls to 0 by a cosine."""

import dataclasses
import math
import os
from collections.abc import Sequence

import keras
import tensorflow as tf

from swr_keras.training.fitting import CosineDecays, cosine_decay, fit_model
from swr_keras.training.heads import default_metrics, task_loss
from swr_keras.training.joint_search import JointSearch
from swr_keras.training.optimizers import OPTIMIZERS, make_optimizer
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.task import Task
from swr_keras.training.transfer_model import TransferModel

_USUAL_EPOCHS = 12
_USUAL_SGD_RATE = 1e-2
_MIN_STEPS = 200
_SMALL_PARAMETERS = 100_000
_SEARCH_BATCH_SIZE = 16
_SEARCH_EPOCHS = 10


@dataclasses.dataclass(frozen=True)
class Fit:
    """How long and how fast a model is trained.

    Attributes:
        epochs: Epochs; `None` for 12, or as many as make 200 steps if that is more.
        learning_rate: The first rate, which falls to 0 by a cosine, epoch by epoch; `None` for
            `usual_learning_rate`.
        batch_size: Examples a batch, where the task doesn't come in batches.
        optimizer: `"adam"`, or `"sgd"` with a momentum of 0.9.
        weight_decay: Strength of the weight decay, see `make_optimizer`. It pulls what a task owns
            of the base towards the base: deltas to zero, gammas, betas and copies of layers to
            their first values; and the head and other new layers to zero, but for their batch norm.
            A network that is trained in whole, as a base, has all its weights pulled to zero, as
            in PyTorch. Frozen weights stay.
        label_smoothing: Share of each label that goes to all classes alike, in [0, 1), in
            validation as in training.

    Raises:
        ValueError: If a number is out of range, or there is no such optimizer.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_size: int = 64
    optimizer: str = "adam"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self):
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"`epochs` must be at least 1. Received: {self.epochs}.")
        if self.batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {self.batch_size}.")
        if self.learning_rate is not None and not 0 <= self.learning_rate < math.inf:
            raise ValueError(
                f"`learning_rate` must be finite and not negative. Received: {self.learning_rate}."
            )
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"`optimizer` must be one of {OPTIMIZERS}. Received: {self.optimizer!r}."
            )
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"`weight_decay` must be finite and not negative. Received: {self.weight_decay}."
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: {self.label_smoothing}."
            )

    def resolved(self, base: keras.Model, task: Task, usual_epochs: int = _USUAL_EPOCHS) -> "Fit":
        """Returns it with the numbers that depend on the base and the data filled in."""
        rate = self.learning_rate
        return dataclasses.replace(
            self,
            epochs=self._epochs(task, usual_epochs),
            learning_rate=usual_learning_rate(base, self.optimizer) if rate is None else rate,
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

        Raises:
            ValueError: If labels are to be smoothed in a loss of the task's own, or the head says
                no loss; on several devices, if a batch norm layer would be trained on each alone.
        """
        rate, epochs = self.numbers()
        model.compile(
            self.optimizer_for(model),
            task_loss(model, task, self.label_smoothing),
            metrics=_metrics(model, task),
        )
        # Variables made while the step is traced would keep its graph in memory for good.
        model.optimizer.build(model.trainable_variables)
        return fit_model(
            model,
            lambda epoch: task.training(self.batch_size, epoch),
            cosine_decay(rate, epochs),
            epochs,
            state=state,
            steps_per_epoch=task.steps_per_epoch(self.batch_size),
            validation_data=task.validation(mixed=mixed_validation),
            callbacks=callbacks,
            verbose=verbose,
        )

    def optimizer_for(self, model: keras.Model) -> keras.optimizers.Optimizer:
        """Returns a new optimizer for a model; the numbers must be `resolved`."""
        anchors = model.anchors if isinstance(model, TransferModel) else ()
        return make_optimizer(self.optimizer, self.numbers()[0], self.weight_decay, anchors)

    def numbers(self) -> tuple[float, int]:
        """Returns the first rate and the epochs.

        Raises:
            ValueError: If one of them isn't `resolved`.
        """
        if self.learning_rate is None or self.epochs is None:
            raise ValueError(
                f"A training needs its rate and epochs, see `Fit.resolved`. Received: {self}."
            )
        return self.learning_rate, self.epochs


def usual_learning_rate(base: keras.Model, optimizer: str = "adam") -> float:
    """Returns the first rate that suits models adapted from a base.

    That of Adam is 2e-2 for a base of up to 100,000 parameters (tiny networks with batch norm learn
    best so), and 1e-3 for a larger one, which 1e-2 would ruin; that of SGD is 1e-2, the middle one
    of the three that arXiv 2302.13435 chooses from.
    """
    if optimizer == "sgd":
        return _USUAL_SGD_RATE
    return 2e-2 if base.count_params() <= _SMALL_PARAMETERS else 1e-3


@dataclasses.dataclass(frozen=True)
class SearchFit:
    """How a policy network is trained, on batches of 16 examples.

    Attributes:
        steps: Steps in all, in whole tens, at least 10.
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
        label_smoothing: float = 0.0,
        state: str | os.PathLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: str | int = "auto",
    ) -> list[dict[str, float]]:
        """Compiles and fits a policy search; arguments as for `Fit.run`.

        Args:
            batch_size: Size of the batches that the task gives, of which its own are made.
            label_smoothing: As for `Fit`.
        """
        search.compile(
            keras.optimizers.Adam(self.learning_rate),
            task_loss(search.supernet, task, label_smoothing),
            cost_weight=self.cost_weight,
            weigh_layers=self.weigh_layers,
        )
        steps = max(self.steps // _SEARCH_EPOCHS, 1)

        def batches(epoch):
            every = task.training(batch_size).repeat().rebatch(_SEARCH_BATCH_SIZE)
            return every.skip(epoch * steps).prefetch(tf.data.AUTOTUNE)

        return fit_model(
            search,
            batches,
            cosine_decay(self.learning_rate, _SEARCH_EPOCHS),
            _SEARCH_EPOCHS,
            state=state,
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
            fit: How long, on which batches, by what loss, and how the super-net; `resolved`.
        """
        policy, owned = keras.optimizers.Adam(), fit.optimizer_for(search.supernet)
        network = {id(variable) for variable in search.network.trainable_variables}
        search.compile(
            keras.optimizers.MultiOptimizer(
                lambda variable: policy if id(variable) in network else owned
            ),
            task_loss(search.supernet, task, fit.label_smoothing),
            metrics=_metrics(search.supernet, task),
            cost_weight=self.cost_weight,
            weigh_layers=self.weigh_layers,
        )
        search.optimizer.build(search.trainable_variables)
        rate, epochs = fit.numbers()
        rates = [(policy, self.learning_rate), (owned, rate)]
        return fit_model(
            search,
            lambda epoch: task.training(fit.batch_size, epoch),
            CosineDecays(rates, epochs),
            epochs,
            state=state,
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
