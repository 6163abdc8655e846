"""How bases and tasks are trained, by the settings of recipes."""

import dataclasses

from swr_keras.methods import SWR, PolicyLearning
from swr_keras.recipes.settings import BaseTraining, Search, Transfer
from swr_keras.training.fit import Fit, SearchFit


def base_fit(base: BaseTraining, transfer: Transfer) -> Fit:
    """Returns how a base is trained."""
    return Fit(base.base_epochs, base.base_learning_rate, transfer.batch_size)


def task_fit(transfer: Transfer) -> Fit:
    """Returns how a task model is trained."""
    return Fit(
        transfer.task_epochs,
        transfer.learning_rate,
        transfer.batch_size,
        transfer.optimizer,
        transfer.weight_decay,
        transfer.label_smoothing,
    )


def swr(transfer: Transfer, search: Search) -> SWR:
    """Returns SWR with these settings."""
    fit = task_fit(transfer)
    policies = SearchFit(
        steps=search.search_steps,
        learning_rate=search.search_learning_rate,
        cost_weight=search.cost_weight,
    )
    learning = PolicyLearning(
        supernet=dataclasses.replace(fit, epochs=search.supernet_epochs),
        sample_gates=search.sample_gates,
        search=policies,
    )
    return SWR(
        fit=fit,
        batch_norm=transfer.bn_mode,
        cost=transfer.cost,
        learning=learning,
        first_layer=transfer.first_layer,
        reading=transfer.reading,
        tries=search.tries,
    )
