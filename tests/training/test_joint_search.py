"""Tests of policy network and deltas trained by the same steps, and of what their loss weighs."""

import warnings

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.layers.reparametrized_model import gates
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData
from swr_keras.training.joint_search import JointSearch

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def task(base, arrays):
    return GivenData(base, *arrays, num_classes=3, validation_data=arrays)


@pytest.fixture
def supernet(base):
    keras.utils.set_random_seed(0)
    return swr.SuperNet(base, num_classes=3, batch_norm="affine")


def train(search, task, *, owned=1e-2, policy=1e-2, epochs=3, **settings):
    settings = SearchFit(learning_rate=policy, **settings)
    fit = Fit(epochs=epochs, learning_rate=owned, batch_size=32)
    return settings.run_jointly(search, task, fit, verbose=0)


@pytest.mark.parametrize(("owned", "policy"), [(1e-2, 1e-2), (1e-2, 0.0), (0.0, 1e-2)])
@pytest.mark.filterwarnings("ignore:The policy doesn't follow")
def test_each_side_learns_at_its_own_rate(owned, policy, supernet, base, task):
    search = JointSearch(supernet)
    before = {name: v.numpy() for name, v in supernet.task_variables().items()}
    network, base_weights = search.network.get_weights(), base.get_weights()
    train(search, task, owned=owned, policy=policy)
    for name, variable in supernet.task_variables().items():
        moved = np.any(before[name] != variable.numpy())
        # Statistics aren't trained: they follow the data.
        assert moved == (owned > 0 or "moving" in name), name
    for old, new in zip(network, search.network.get_weights(), strict=True):
        assert np.any(old != new) == (policy > 0)
    for old, new in zip(base_weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(float(gate) == 1.0 for gate in gates(supernet.model).values())


@pytest.mark.parametrize("cost", [0.2, 0.6])
def test_with_one_cost_every_step_asks_for_it(cost, supernet, task):
    search = JointSearch(supernet, target_cost=cost)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = train(search, task, epochs=30, cost_weight=10)
    assert search.policy(cost).expected_cost == pytest.approx(cost, abs=0.03)
    assert logs[-1]["tracking_error"] == pytest.approx(search.grid_error(), abs=1e-6)
    error = abs(search.policy(cost).expected_cost - cost)
    assert search.grid_error() == pytest.approx(error, abs=1e-6)
    assert logs[-1]["loss"] < logs[0]["loss"]
    assert {"accuracy", "val_accuracy", "val_cost_loss"} <= logs[-1].keys()


def test_an_evaluation_leaves_all_as_it_is(supernet, task, arrays):
    search = JointSearch(supernet, target_cost=0.5)
    search.compile("adam", LOSS)
    before = supernet.get_weights()
    search.evaluate(*arrays, verbose=0)
    for old, new in zip(before, supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.fixture
def uneven():
    """A super-net of layers that differ much in size."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((10, 8, 1))
    x = keras.layers.Conv2D(2, 3, name="small")(inputs)
    x = keras.layers.Conv2D(16, 3, name="large")(x)
    x = keras.layers.Conv2D(3, 1, name="middle")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    base = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    return swr.SuperNet(base, num_classes=3)


@pytest.mark.parametrize("weigh_layers", [True, False])
def test_the_cost_loss_weighs_layers_and_reports_have_the_true_cost(weigh_layers, uneven, arrays):
    search = JointSearch(uneven, target_cost=0.3)
    search.compile("adam", LOSS, weigh_layers=weigh_layers)
    search.network.logits.bias.assign([1.0, 0.0, -1.0, 0.0, 0.5, 0.0])
    found = search.evaluate(*arrays, batch_size=96, verbose=0, return_dict=True)
    policy = search.policy(0.3)
    weighed = policy.expected_cost if weigh_layers else np.mean(policy.probabilities)
    assert abs(policy.expected_cost - np.mean(policy.probabilities)) > 0.1
    assert found["cost_loss"] == pytest.approx(abs(weighed - 0.3), abs=1e-6)
    assert found["expected_cost"] == pytest.approx(policy.expected_cost, abs=1e-6)
    assert found["tracking_error"] == pytest.approx(abs(policy.expected_cost - 0.3), abs=1e-6)


def test_without_weights_the_share_of_layers_follows_the_target(uneven, arrays):
    search = swr.PolicySearch(uneven)
    search.compile(keras.optimizers.Adam(1e-2), LOSS, weigh_layers=False, cost_weight=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(*arrays, batch_size=8, epochs=25, verbose=0)
    for cost in (0.1, 0.5, 0.8):
        assert np.mean(search.probabilities(cost)) == pytest.approx(cost, abs=0.05)
        assert search.policy(cost, "budget").achieved_cost <= cost


def test_a_target_cost_that_is_none_is_refused(supernet):
    with pytest.raises(ValueError, match="from 0 to 1. Received: 30"):
        JointSearch(supernet, target_cost=30)
