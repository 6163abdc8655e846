import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.layers.reparametrized_model import gates, policy_layers
from swr_keras.policy import annealed_temperature
from swr_keras.training.policy_search import COST_GRID

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def trained_supernet(base, arrays, epochs=10):
    keras.utils.set_random_seed(0)
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile(keras.optimizers.Adam(1e-2), LOSS)
    supernet.fit(*arrays, batch_size=32, epochs=epochs, verbose=0)
    return supernet


def searched(supernet, arrays, epochs=15, **options):
    search = swr.PolicySearch(supernet)
    search.compile(keras.optimizers.Adam(1e-2), LOSS, metrics=["accuracy"], **options)
    history = search.fit(*arrays, batch_size=8, epochs=epochs, verbose=0)
    return search, history


@pytest.mark.parametrize("form", ["l1", "l2"])
def test_expected_cost_follows_the_target_down_to_5_percent(base, arrays, form):
    # The cost loss alone decides here: a large factor, and a super-net of zero deltas.
    supernet = swr.SuperNet(base, num_classes=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        untrained = swr.PolicySearch(supernet).grid_error()
        search, history = searched(supernet, arrays, epochs=25, cost_form=form, cost_weight=10)
    for cost in COST_GRID:
        policy = search.policy(cost)
        assert policy.expected_cost == pytest.approx(cost, abs=0.05)
        assert policy.achieved_cost <= cost
    errors = [float(error) for error in history.history["tracking_error"]]
    assert errors[-1] < 0.03 < 0.1 < untrained
    assert errors[-1] == pytest.approx(search.grid_error(), abs=1e-6)


def test_a_policy_that_ignores_the_cost_raises_a_warning(base, arrays):
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    search.compile(keras.optimizers.Adam(1e-5), LOSS)
    with pytest.warns(UserWarning, match="doesn't follow the target cost.*Raise the number of"):
        search.fit(*arrays, batch_size=32, epochs=1, verbose=0)


def test_finds_the_layer_that_the_task_needs(arrays, base):
    """Only `depthwise` has a delta that helps; it is chosen although others would fit as well."""
    supernet = swr.SuperNet(base, num_classes=3)
    needed = policy_layers(supernet.model)["depthwise"]
    for name, delta in needed.delta.items():
        delta.assign(-2.0 * needed.frozen[name].numpy())
    logits = np.asarray(supernet(arrays[0]))
    head = supernet.model.get_layer("head")
    head.kernel.assign(100.0 * head.kernel.numpy())
    head.bias.assign(-100.0 * np.median(logits, axis=0))
    labels = np.argmax(supernet(arrays[0]), axis=-1)
    needed.gate.assign(0.0)
    assert np.mean(np.argmax(supernet(arrays[0]), axis=-1) == labels) < 0.7
    needed.gate.assign(1.0)
    search, history = searched(supernet, (arrays[0], labels), epochs=20)
    assert history.history["task_loss"][-1] < history.history["task_loss"][0]
    assert search.policy(0.4).selected_layers == ("depthwise",)
    assert search.policy(0.4, "threshold").selected_layers == ("depthwise",)


def test_search_changes_the_policy_network_alone(base, arrays):
    supernet = trained_supernet(base, arrays, epochs=2)
    before = supernet.get_weights()
    base_weights = base.get_weights()
    search = swr.PolicySearch(supernet)
    network = search.network.get_weights()
    search.trainable = True
    assert len(search.trainable_variables) == 6
    search.compile("adam", LOSS)
    search.fit(*arrays, batch_size=32, epochs=2, verbose=0, shuffle=False)
    for old, new in zip(before, supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(base_weights, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(
        np.any(old != new) for old, new in zip(network, search.network.get_weights(), strict=True)
    )
    assert all(float(gate) == 1.0 for gate in gates(supernet.model).values())


def test_metrics_validation_and_temperature(base, arrays):
    supernet = trained_supernet(base, arrays, epochs=2)
    search = swr.PolicySearch(supernet)
    search.compile("adam", LOSS, metrics=["accuracy"], cost_weight=2.0)
    temperatures = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: temperatures.append(float(search.temperature))
    )
    # The last batch is a smaller one.
    logs = search.fit(
        *arrays, validation_data=arrays, batch_size=36, epochs=4, verbose=0, callbacks=[record]
    ).history
    for name in ("accuracy", "task_loss", "cost_loss", "expected_cost", "tracking_error"):
        assert np.isfinite(logs[name]).all() and np.isfinite(logs[f"val_{name}"]).all()
        assert len(set(logs[name])) > 1
    for prefix in ("", "val_"):
        parts = np.array(logs[f"{prefix}task_loss"]) + 2.0 * np.array(logs[f"{prefix}cost_loss"])
        np.testing.assert_allclose(logs[f"{prefix}loss"], parts, rtol=1e-5)
    assert temperatures[0] == pytest.approx(2.0)
    assert all(a > b for a, b in zip(temperatures, temperatures[1:], strict=False))
    assert 0.5 < temperatures[-1] < 0.6


def test_temperature_falls_by_epochs_where_the_steps_are_not_known(base, arrays):
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    search.compile("adam", LOSS)
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(32).filter(lambda x, y: True)
    temperatures = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: temperatures.append(float(search.temperature))
    )
    search.fit(data, epochs=3, verbose=0, callbacks=[record])
    expected = [annealed_temperature(epoch / 3) for epoch in range(3)]
    assert temperatures == pytest.approx(np.repeat(expected, 3))


def test_temperature_is_the_first_one_without_fit(base):
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    assert float(search.temperature) == 1.0
    search.compile("adam", LOSS, temperatures=(3.0, 1.0))
    assert float(search.temperature) == 3.0


def test_one_network_answers_every_cost_in_both_readings(base, arrays):
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    for cost in (0.0, 0.05, 0.33, 1.0):
        assert search.policy(cost).achieved_cost <= cost
    assert search.policy(1.0).achieved_cost == 1.0
    assert search.policy(0.5, "threshold").reading == "threshold"
    assert search(arrays[0], target_cost=0.5).shape == (96, 3)
    with pytest.raises(ValueError, match="from 0 to 1"):
        search.policy(30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost_form": "hinge"}, "`cost_form` must be one of.*'hinge'"),
        ({"cost_weight": 0}, "must be positive"),
        ({"temperatures": (2.0, 0.0)}, "must be positive"),
    ],
)
def test_impossible_options(base, options, message):
    search = swr.PolicySearch(swr.SuperNet(base, num_classes=3))
    with pytest.raises(ValueError, match=message):
        search.compile("adam", LOSS, **options)


def test_same_seed_same_policy(base, arrays):
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        supernet = swr.SuperNet(base, num_classes=3)
        search, _ = searched(supernet, arrays, epochs=3, cost_weight=10)
        found.append(search.policy(0.5))
    assert found[0] == found[1]
