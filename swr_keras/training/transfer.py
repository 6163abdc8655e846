"""The stages in one call each, and all of them in one."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from swr_keras.policy.policy import Policy, check_reading, check_target_cost
from swr_keras.training.heads import default_loss, default_metrics
from swr_keras.training.policy_search import PolicySearch
from swr_keras.training.supernet import SuperNet
from swr_keras.training.task_model import TaskModel

SEARCH_BATCH_SIZE = 16
SEARCH_EPOCHS = 10


def transfer(
    base: keras.Model,
    train: tf.data.Dataset,
    *,
    target_cost: float,
    num_classes: int | None = None,
    validation_data: tf.data.Dataset | None = None,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    search_steps: int = 1000,
    batch_norm: str = "statistics",
    reading: str = "budget",
    seed: int = 0,
    verbose: str | int = "auto",
) -> TaskModel:
    """Learns which layers a new task should change, and trains those.

    `learn_policy` and `train_task` in a row. Call them yourself to train tasks for several target
    costs from one search, or to set rates and callbacks.

    Args:
        base: A built Functional or Sequential classifier; it is not touched.
        train: Batches `(inputs, labels)` with integer labels `(batch,)`.
        target_cost: Share of the policy layers' parameters that the task may own, in [0, 1].
        num_classes: Classes of the task; as many as the base's by default.
        validation_data: Like `train`, batches of mixed classes; reported, never selected on.
        epochs: Epochs of the super-net, and of the task model.
        learning_rate: Adam's rate for both; it falls to 0 by a cosine. Tiny networks with batch
            norm, such as BC-ResNet, learn best with 1e-2, which ruins larger ones.
        search_steps: Steps of the policy search, of 16 examples each.
        batch_norm: `"statistics"`, `"affine"` or `"frozen"`, see `layers.TaskNormalization`.
        reading: `"budget"` or `"threshold"`, see `Policy.from_probabilities`.
        seed: Seed of the draws of costs and gates. Seed the rest by `keras.utils.set_random_seed`.
        verbose: As for `keras.Model.fit`.

    Returns:
        The trained task model: `.merge()` gives the plain Keras model, `.pack()` the task pack.

    Raises:
        ValueError: For a target cost outside [0, 1] or another reading; see also `reparametrize`.
    """
    check_target_cost(target_cost)
    check_reading(reading)
    common: dict[str, Any] = {
        "num_classes": num_classes,
        "validation_data": validation_data,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "batch_norm": batch_norm,
        "verbose": verbose,
    }
    search = learn_policy(base, train, search_steps=search_steps, seed=seed, **common)
    return train_task(base, search.policy(target_cost, reading), train, **common)


def learn_policy(
    base: keras.Model,
    train: tf.data.Dataset,
    *,
    num_classes: int | None = None,
    validation_data: tf.data.Dataset | None = None,
    epochs: int = 30,
    search_steps: int = 1000,
    learning_rate: float = 1e-3,
    search_learning_rate: float = 5e-3,
    cost_weight: float = 3.0,
    batch_norm: str = "statistics",
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> PolicySearch:
    """Trains a super-net and searches the policy of every target cost against it (stage 1).

    Args:
        search_learning_rate: Adam's rate for the policy network, which trains on batches of 16.
        cost_weight: Factor of the cost loss (lambda of the paper).
        callbacks: Called in both trainings.
        base, train, num_classes, validation_data, epochs, learning_rate, search_steps, batch_norm,
            seed, verbose: As for `transfer`.

    Returns:
        The search; `.policy(target_cost)` gives the policy for any cost.
    """
    supernet = SuperNet(base, num_classes=num_classes, batch_norm=batch_norm, seed=seed)
    fit_classifier(
        supernet,
        train,
        validation_data=validation_data,
        epochs=epochs,
        learning_rate=learning_rate,
        callbacks=callbacks,
        verbose=verbose,
    )
    search = PolicySearch(supernet, seed=seed)
    fit_policy(
        search,
        train,
        steps=search_steps,
        learning_rate=search_learning_rate,
        cost_weight=cost_weight,
        callbacks=callbacks,
        verbose=verbose,
    )
    return search


def train_task(
    base: keras.Model,
    policy: Policy,
    train: tf.data.Dataset,
    *,
    num_classes: int | None = None,
    validation_data: tf.data.Dataset | None = None,
    epochs: int = 30,
    learning_rate: float = 1e-3,
    batch_norm: str = "statistics",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> TaskModel:
    """Trains the layers of a policy from zero deltas (stage 2). Arguments as for `learn_policy`.

    A policy with every layer is fine-tuning all, one with none is training the classifier only.
    """
    task = TaskModel(base, policy, num_classes=num_classes, batch_norm=batch_norm)
    fit_classifier(
        task,
        train,
        validation_data=validation_data,
        epochs=epochs,
        learning_rate=learning_rate,
        callbacks=callbacks,
        verbose=verbose,
    )
    return task


def fit_classifier(
    model: keras.Model,
    train: tf.data.Dataset,
    *,
    validation_data: tf.data.Dataset | None = None,
    epochs: int,
    learning_rate: float,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Compiles and fits a classifier with Adam, a cosine to 0 and cross-entropy."""
    model.compile(
        keras.optimizers.Adam(learning_rate),
        default_loss(model),
        metrics=default_metrics(model),
    )
    # Variables made while the step is traced would keep its graph in memory for good.
    model.optimizer.build(model.trainable_variables)
    return model.fit(
        train,
        validation_data=validation_data,
        epochs=epochs,
        initial_epoch=initial_epoch,
        steps_per_epoch=steps_per_epoch,
        callbacks=[cosine_decay(learning_rate, epochs), *callbacks],
        shuffle=False,
        verbose=verbose,
    )


def fit_policy(
    search: PolicySearch,
    train: tf.data.Dataset,
    *,
    steps: int = 1000,
    learning_rate: float = 5e-3,
    cost_weight: float = 3.0,
    initial_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Compiles and fits a policy search with Adam, a cosine to 0, and batches of 16.

    Arguments as for `learn_policy`.
    """
    search.compile(
        keras.optimizers.Adam(learning_rate),
        default_loss(search.supernet),
        cost_weight=cost_weight,
    )
    steps_per_epoch = max(steps // SEARCH_EPOCHS, 1)
    batches = train.repeat().rebatch(SEARCH_BATCH_SIZE).skip(initial_epoch * steps_per_epoch)
    return search.fit(
        batches.prefetch(tf.data.AUTOTUNE),
        epochs=SEARCH_EPOCHS,
        initial_epoch=initial_epoch,
        steps_per_epoch=steps_per_epoch,
        callbacks=[cosine_decay(learning_rate, SEARCH_EPOCHS), *callbacks],
        shuffle=False,
        verbose=verbose,
    )


def cosine_decay(learning_rate: float, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that sets each epoch's rate on a half cosine from the first rate to 0."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: 0.5 * learning_rate * (1.0 + math.cos(math.pi * epoch / epochs))
    )
