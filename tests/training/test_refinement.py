"""Tests of policies refined on a super-net."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.network import PolicyNetwork
from swr_keras.training.given_data import GivenData
from swr_keras.training.refinement import SuperNetLoss, refine

SIZES = {f"layer{number}": size for number, size in enumerate((5, 9, 14, 20, 31, 8, 12, 1))}
WORTH = np.array([1.0, -2.0, 8.0, 3.0, 4.0, 0.5, 6.0, 0.0])


@pytest.fixture
def policies():
    keras.utils.set_random_seed(0)
    return LearnedPolicies(PolicyNetwork(len(SIZES)), SIZES, ["dense"] * len(SIZES), "flash")


def loss(selected):
    return float(20 - WORTH @ np.asarray(selected, float))


def test_the_best_policy_within_the_cost_is_found(policies):
    found = refine(policies, 0.4, loss, tries=200)
    # 40 of 100: layers 2 and 6, and of what is left for 14 the best.
    assert set(found.policy.selected_layers) == {"layer0", "layer2", "layer5", "layer6", "layer7"}
    assert found.policy.achieved_cost == 0.4
    assert (found.policy.reading, found.policy.cost) == ("refined", "flash")
    assert found.loss == loss(found.policy.selected) == min(found.losses.values())
    assert found.network_loss == loss(policies.policy(0.4).selected)
    assert len(found.random_losses) == 50


def test_a_refinement_repeats_itself_and_keeps_the_best(policies):
    losses = [refine(policies, 0.5, loss, tries=tries, seed=3).loss for tries in (1, 10, 100)]
    assert losses == sorted(losses, reverse=True)
    assert refine(policies, 0.5, loss, tries=30) == refine(policies, 0.5, loss, tries=30)


def test_nothing_before_the_first_layer_is_even_tried(policies):
    tried = []

    def recording(selected):
        tried.append(selected)
        return loss(selected)

    found = refine(policies, 0.4, recording, tries=200, first_layer="layer3")
    assert not any(any(selected[:3]) for selected in tried)
    # 40 of 100: layers 6 and 5, and of what is left for 20 the best.
    assert set(found.policy.selected_layers) == {"layer3", "layer5", "layer6"}
    assert found.policy.first_layer == "layer3"


@pytest.mark.parametrize("cost", [0.0, 0.005, 1.0])
def test_costs_that_leave_no_choice(policies, cost):
    found = refine(policies, cost, loss, tries=9)
    assert found.policy.selected == policies.policy(cost).selected


@pytest.mark.parametrize("batch_norm", ["statistics", "owned"])
def test_loss_is_that_of_the_supernet_with_these_gates(base, arrays, batch_norm):
    task = GivenData(base, *arrays, num_classes=3)
    supernet = swr.SuperNet(base, num_classes=3, batch_norm=batch_norm)
    swr.Fit(epochs=8, learning_rate=1e-2).run(supernet, task, verbose=0)
    before = supernet.get_weights()
    measured = SuperNetLoss(supernet, task, 96)
    gates = np.array([True, False, True])
    expected = [
        supernet.compute_loss(x, y, supernet(x, gates=gates.astype("float32")))
        for x, y in task.training(64).rebatch(64).take(2)
    ]
    assert measured(gates) == pytest.approx(np.mean(expected), rel=0.02)
    assert measured([True] * 3) < measured([False] * 3)
    for old, new in zip(before, supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("size", [4, 48, 96])
def test_a_policy_is_measured_on_as_many_examples_whatever_the_batches_are(size, base, arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(size)
    for data in (dataset, dataset.filter(lambda *_: True), tuple(arrays)):
        task = GivenData(base, data, num_classes=3)
        measured = SuperNetLoss(swr.SuperNet(base, num_classes=3), task, 65)
        endless = task.steps_per_epoch(64) is not None
        assert [len(y) for _, y in measured.batches] == [64, 64 if endless else 32]


def test_swr_refines_unless_told_otherwise(base, arrays):
    method = swr.SWR(fit=swr.Fit(epochs=1), tries=3)
    task = swr.transfer(base, *arrays, target_cost=0.5, num_classes=3, method=method, verbose=0)
    assert task.policy.reading == "refined"
    method = dataclasses.replace(method, reading="budget")
    task = swr.transfer(base, *arrays, target_cost=0.5, num_classes=3, method=method, verbose=0)
    assert task.policy.reading == "budget"
    with pytest.raises(ValueError, match="`tries` must be at least 1. Received: 0"):
        swr.SWR(tries=0)
