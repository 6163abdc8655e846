import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras.policy import (
    PolicyNetwork,
    annealed_temperature,
    cost_loss,
    expected_cost,
    gumbel_gates,
)
from swr_keras.policy.gates import straight_through


def test_gates_are_hard_and_as_frequent_as_the_softmax_says():
    logits = tf.constant([[0.0, 0.0], [2.0, 0.0], [-1.0, 1.0]])
    seed = keras.random.SeedGenerator(0)
    draws = np.stack([gumbel_gates(logits, 0.7, seed) for _ in range(3000)])
    assert set(np.unique(draws)) == {0.0, 1.0}
    expected = tf.nn.softmax(logits)[:, 0]
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.03)


def test_gates_pass_the_gradient_of_the_soft_sample():
    logits = tf.Variable([[0.3, -0.2], [1.0, 0.5]])
    with tf.GradientTape() as tape:
        gates = gumbel_gates(logits, 0.5, seed=3)
        total = tf.reduce_sum(gates)
    gradient = np.asarray(tape.gradient(total, logits))
    assert np.all(gradient[:, 0] > 0)
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-6)


def test_same_seed_same_gates():
    logits = tf.zeros((50, 2))
    first, second, other = (gumbel_gates(logits, 1.0, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.any(np.asarray(first) != np.asarray(other))


def test_cost_loss_forms():
    probabilities = tf.constant([[0.5, 1.0], [0.0, 0.0]])
    expected = expected_cost(probabilities, tf.constant([0.75, 0.25]))
    np.testing.assert_allclose(expected, [0.625, 0.0])
    target = tf.constant([0.125, 0.1])
    assert float(cost_loss(expected, target, "l1")) == pytest.approx((0.5 + 0.1) / 2)
    assert float(cost_loss(expected, target, "l2")) == pytest.approx((0.25 + 0.01) / 2)


def test_temperature_falls_by_a_cosine_from_2_to_a_half():
    values = [annealed_temperature(progress) for progress in (-1.0, 0.0, 0.5, 1.0, 2.0)]
    np.testing.assert_allclose(values, [2.0, 2.0, 1.25, 0.5, 0.5])


def test_network_gives_two_logits_a_layer_and_round_trips(tmp_path):
    network = PolicyNetwork(7, hidden_units=16)
    costs = tf.constant([0.0, 0.05, 0.5, 1.0])
    assert network(costs).shape == (4, 7, 2)
    assert len([layer for layer in network.layers if layer.weights]) == 3
    probabilities = np.asarray(network.probabilities(costs))
    np.testing.assert_allclose(probabilities, tf.nn.softmax(network(costs))[..., 0], rtol=1e-6)
    network.save(tmp_path / "network.keras")
    restored = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(restored(costs), network(costs))


def test_a_threshold_is_hard_forward_and_not_there_backward():
    values = tf.Variable([-1.0, 0.09, 0.1, 0.5])
    with tf.GradientTape() as tape:
        hard = straight_through(values, 0.1)
        total = tf.reduce_sum(hard * [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(hard, [0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(tape.gradient(total, values), [1.0, 2.0, 3.0, 4.0])
