import math

import keras
import numpy as np
import pytest

from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData


def data(examples):
    return GivenData(network(3), np.zeros((examples, 4), "float32"), np.zeros(examples, int))


def network(units):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


def test_few_examples_are_trained_on_more_often():
    assert Fit().resolved(network(3), data(6400)).epochs == 12
    assert Fit().resolved(network(3), data(3 * 64)).epochs == 67
    assert Fit().resolved(network(3), data(6400), usual_epochs=10).epochs == 10
    assert Fit(epochs=2).resolved(network(3), data(64)).epochs == 2


def test_a_large_base_learns_slowly():
    assert Fit().resolved(network(3), data(64)).learning_rate == 2e-2
    assert Fit().resolved(network(30_000), data(64)).learning_rate == 1e-3
    assert Fit(learning_rate=0.0).resolved(network(3), data(64)).learning_rate == 0.0
    assert Fit(optimizer="sgd").resolved(network(30_000), data(64)).learning_rate == 1e-2


def test_plans_count_whole_batches():
    assert Fit(epochs=3, batch_size=10).plan(data(25)) == (3, 90)
    assert SearchFit(steps=100).plan() == (10, 1600)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fit(epochs=0),
        lambda: Fit(batch_size=0),
        lambda: Fit(learning_rate=-1.0),
        lambda: Fit(learning_rate=math.nan),
        lambda: Fit(optimizer="rmsprop"),
        lambda: Fit(weight_decay=-1e-4),
        lambda: Fit(weight_decay=math.inf),
        lambda: Fit(label_smoothing=1.0),
        lambda: Fit(label_smoothing=-0.1),
        lambda: SearchFit(steps=0),
        lambda: SearchFit(cost_weight=0.0),
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Received"):
        wrong()


def test_numbers_that_are_not_resolved_are_refused():
    with pytest.raises(ValueError, match="resolved.*Received: Fit"):
        Fit(epochs=1).run(network(3), data(64))


def test_smoothed_labels_are_refused_for_a_loss_of_the_tasks_own():
    x, y = np.zeros((64, 4), "float32"), np.zeros((64, 3), "float32")
    task = GivenData(network(3), x, y, loss="mse")
    with pytest.raises(ValueError, match="'task' has its own. Received: label_smoothing=0.1.*mse"):
        Fit(1, 0.1, label_smoothing=0.1).run(network(3), task)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_rate_falls_by_a_cosine(optimizer):
    rates = []
    model = network(3)
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    fit = Fit(epochs=4, learning_rate=1.0, optimizer=optimizer, weight_decay=1e-3)
    logs = fit.run(model, data(64), callbacks=[record], verbose=0)
    np.testing.assert_allclose(rates, [1.0, 0.853553, 0.5, 0.146447], rtol=1e-5)
    assert len(logs) == 4
    assert {"loss", "accuracy"} <= logs[0].keys()
