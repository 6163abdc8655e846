"""TAPS: scores, gates, and what is the task's at the end."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.layers.reparametrized_model import gates, policy_layers
from swr_keras.training.taps_model import TapsModel

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ALL = ("conv", "depthwise", "pointwise")


def taps(base, **options):
    next(each for each in base.layers if isinstance(each, keras.layers.Dropout)).rate = 0.0
    return TapsModel(base, ALL, num_classes=3, **options)


def fit(model, arrays, epochs=2, optimizer=None, **options):
    model.compile(optimizer or keras.optimizers.Adam(1e-2), LOSS)
    return model.fit(*arrays, batch_size=32, epochs=epochs, verbose=0, **options)


def open_by_hand(model, opened):
    model.scores.assign([0.2 if path in opened else 0.05 for path in ALL])
    for path, layer in policy_layers(model.model).items():
        layer.gate.assign(float(path in opened))
        for delta in layer.delta.values():
            delta.assign(keras.random.normal(delta.shape, stddev=0.1, seed=1))


def test_it_starts_as_the_base_with_all_open(base, arrays):
    model = taps(base)
    np.testing.assert_allclose(model.scores, [0.15] * 3)
    assert model.policy.selected_layers == ALL
    plain = swr.TaskModel(base, [], num_classes=3, batch_norm="affine")
    plain.model.get_layer("head").set_weights(model.model.get_layer("head").get_weights())
    np.testing.assert_array_equal(model(arrays[0]), plain(arrays[0]))


def test_gradients_pass_the_gate_straight_through_and_reach_open_deltas_alone(base, arrays):
    model = taps(base, batch_norm="frozen")
    open_by_hand(model, ("conv", "pointwise"))
    x, y = arrays
    layers = policy_layers(model.model)
    deltas = {path: list(layers[path].delta.values()) for path in ALL}
    with tf.GradientTape(persistent=True) as tape:
        first = LOSS(y, model(x, training=True))
    found = tape.gradient(first, model.scores).numpy()
    for index, path in enumerate(ALL):
        # The gradient by the weight itself, from a model that is open and has the same weights.
        same = taps(base, batch_norm="frozen")
        same.model.set_weights(model.model.get_weights())
        for each in policy_layers(same.model).values():
            for name, delta in each.delta.items():
                each.frozen[name].assign_add(each.gate * delta)
                delta.assign(0.0 * delta)
        own = list(policy_layers(same.model)[path].delta.values())
        same.scores.assign([0.2] * 3)
        with tf.GradientTape() as other:
            loss = LOSS(y, same(x, training=True))
        by_weight = other.gradient(loss, own)
        expected = sum(
            float(tf.reduce_sum(g * d)) for g, d in zip(by_weight, deltas[path], strict=True)
        )
        assert found[index] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        is_open = path != "depthwise"
        for gradient, weight in zip(tape.gradient(first, deltas[path]), by_weight, strict=True):
            np.testing.assert_allclose(gradient, is_open * weight, rtol=1e-3, atol=1e-6)


def test_scores_cost_only_after_the_first_epochs(base, arrays):
    model = taps(base, sparsity=2.0, warm_up=2)
    penalties = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: penalties.append(float(model.penalty))
    )
    fit(model, arrays, epochs=4, callbacks=record)
    assert penalties == [0.0, 0.0, 2.0, 2.0]
    model.optimizer.learning_rate = 0.0
    scores = np.mean(np.abs(model.scores))
    with_it, without = (
        model.fit(*arrays, batch_size=96, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
        for epoch in (4, 0)
    )
    difference = with_it.history["loss"][0] - without.history["loss"][0]
    assert difference == pytest.approx(2.0 * scores, rel=1e-3)


@pytest.mark.parametrize("sparsity", [0.0, 100.0])
def test_sparsity_says_how_many_layers_stay_open(base, arrays, sparsity):
    model = taps(base, sparsity=sparsity, warm_up=0)
    fit(model, arrays, epochs=8, optimizer=keras.optimizers.SGD(1e-3))
    assert model.policy.selected_layers == (ALL if sparsity == 0 else ())


def test_what_is_closed_at_the_end_is_the_bases(base, arrays, tmp_path):
    model = taps(base, warm_up=0, sparsity=0.0)
    model.compile(keras.optimizers.Adam(1e-2), LOSS)
    fit(model, arrays)
    model.scores.assign([0.11, 0.05, 0.3])
    fit(model, arrays, optimizer=keras.optimizers.SGD(0.0))
    assert np.any(policy_layers(model.model)["depthwise"].delta["kernel"])
    assert model.policy.selected_layers == ("conv", "pointwise") == tuple(sorted(model.open_layers))
    deltas = {name for name in model.task_variables() if name.endswith("_delta")}
    assert deltas == {"conv/kernel_delta", "pointwise/kernel_delta", "pointwise/bias_delta"}
    assert model.pack().arrays.keys() == model.task_variables().keys()
    merged = model.merge(check_on=arrays[0])
    for old, new in zip(
        base.get_layer("depthwise").weights, merged.get_layer("depthwise").weights, strict=True
    ):
        np.testing.assert_array_equal(old, new)
    assert np.any(merged.get_layer("conv").kernel - base.get_layer("conv").kernel)
    rows = {row.path: row for row in swr.summary(model).rows}
    assert [rows[path].gate for path in ALL] == [True, False, True]
    assert rows["depthwise"].owned_bytes == rows["depthwise"].flash_bytes == 0
    # Channels of a kernel, and of batch norm that is folded into it, are counted once.
    assert rows["conv"].flash_bytes == 9 * 6 + 4 * 6
    assert rows["norm"].flash_bytes == 0 and rows["norm"].owned_bytes == 4 * 4 * 6


def test_weights_keep_the_scores(base, arrays, tmp_path):
    model, other = taps(base), taps(base)
    fit(model, arrays)
    model.scores.assign([0.2, 0.05, 0.2])
    fit(model, arrays, optimizer=keras.optimizers.SGD(0.0))
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    assert other.policy == model.policy != taps(base).policy
    np.testing.assert_array_equal(other(arrays[0]), model(arrays[0]))


def test_what_trainable_says_of_layers_changes_nothing(base, arrays):
    model = taps(base)
    model.trainable = False
    before = model.scores.numpy().copy()
    fit(model, arrays)
    assert np.all(model.scores.numpy() != before)
    assert {path: float(gate) for path, gate in gates(model.model).items()} == {
        path: float(score >= 0.1) for path, score in zip(ALL, model.scores.numpy(), strict=True)
    }


@pytest.mark.parametrize("options", [{"batch_norm": "owned"}, {"sparsity": -1}, {"warm_up": -1}])
def test_what_can_not_be_is_refused(base, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        TapsModel(base, ALL, **options)
