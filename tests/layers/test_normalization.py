import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras.layers import (
    FusedBatchNormalization,
    SubSpectralNormalization,
    SWRBatchNormalization,
    SWRFusedBatchNormalization,
    SWRSubSpectralNormalization,
)


def randomised(layer, x, seed=0):
    layer.build(x.shape)
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return layer


def train_step(layer, x):
    """Output, gradients by input and weights, and moving statistics of one training call."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(3.0 * tf.cast(y, tf.float32)))
    gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
    return [y, *gradients, layer.moving_mean.numpy(), layer.moving_variance.numpy()]


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (8, 1, 1, 8)])
def test_fused_equals_keras(shape):
    x = np.random.default_rng(1).normal(1.0, 2.0, shape).astype("float32")
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    pairs = zip(
        train_step(randomised(FusedBatchNormalization(), x), x),
        train_step(randomised(plain, x), x),
        strict=True,
    )
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [({"scale": False}, (4, 5, 6, 3)), ({}, (8, 3)), ({"axis": 1}, (4, 3, 5, 5))],
)
def test_whatever_the_kernel_does_not_cover_takes_keras_path(kwargs, shape):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    fused = randomised(FusedBatchNormalization(**kwargs), x)
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **kwargs)
    plain = randomised(plain, x)
    for training in (True, False):
        np.testing.assert_array_equal(fused(x, training=training), plain(x, training=training))
    np.testing.assert_array_equal(fused.moving_variance, plain.moving_variance)


def test_frozen_layer_runs_in_inference_mode():
    x = np.random.default_rng(1).normal(size=(4, 5, 6, 3)).astype("float32")
    layer = randomised(FusedBatchNormalization(), x)
    layer.trainable = False
    before = layer.moving_mean.numpy()
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    np.testing.assert_array_equal(layer.moving_mean, before)


def subspectral_by_definition(x, layer, groups, training):
    y = np.empty_like(x)
    width, channels = x.shape[2] // groups, x.shape[3]
    for group in range(groups):
        band = x[:, :, group * width : (group + 1) * width]
        own = slice(group * channels, (group + 1) * channels)
        mean, variance = layer.moving_mean.numpy()[own], layer.moving_variance.numpy()[own]
        if training:
            mean, variance = band.mean(axis=(0, 1, 2)), band.var(axis=(0, 1, 2))
        scaled = (band - mean) / np.sqrt(variance + layer.epsilon)
        y[:, :, group * width : (group + 1) * width] = (
            scaled * layer.gamma.numpy()[own] + layer.beta.numpy()[own]
        )
    return y


@pytest.mark.parametrize("frequencies", [5, 10, 20])
@pytest.mark.parametrize("training", [True, False])
def test_subspectral_normalization_by_its_definition(frequencies, training):
    x = np.random.default_rng(2).normal(size=(3, 7, frequencies, 4)).astype("float32")
    layer = randomised(SubSpectralNormalization(groups=5), x)
    expected = subspectral_by_definition(x, layer, 5, training)
    np.testing.assert_allclose(layer(x, training=training), expected, rtol=1e-3, atol=1e-4)
    assert layer.gamma.shape == (20,)


def test_subspectral_normalization_refuses_uneven_bands():
    with pytest.raises(ValueError, match="divisible by groups=5.*Received"):
        SubSpectralNormalization(groups=5).build((None, 10, 12, 4))
    with pytest.raises(ValueError, match="channels last"):
        SubSpectralNormalization(axis=1)


MODES = [SWRBatchNormalization, SWRFusedBatchNormalization, SWRSubSpectralNormalization]


@pytest.mark.parametrize("layer_class", MODES)
@pytest.mark.parametrize(
    ("mode", "trained", "moved"),
    [("statistics", 0, True), ("affine", 2, True), ("shift", 1, True), ("frozen", 0, False)],
)
def test_mode_says_what_training_changes(layer_class, mode, trained, moved, tmp_path):
    layer = layer_class(mode=mode, momentum=0.9)
    model = keras.Sequential([keras.Input((6, 10, 3)), layer])
    model.trainable = False
    model.trainable = True
    assert len(model.trainable_variables) == trained
    x = np.random.default_rng(0).normal(3.0, size=(4, 6, 10, 3)).astype("float32")
    before = layer.moving_mean.numpy()
    if not moved:
        np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    model(x, training=True)
    assert np.any(layer.moving_mean.numpy() != before) == moved
    assert (
        set(layer.task_variables())
        == {
            "statistics": {"moving_mean", "moving_variance"},
            "affine": {"moving_mean", "moving_variance", "gamma", "beta"},
            "shift": {"moving_mean", "moving_variance", "beta"},
            "frozen": set(),
        }[mode]
    )
    model.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").layers[0].mode == mode


def test_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="batch norm mode must be one of.*'stats'"):
        SWRBatchNormalization(mode="stats")


@pytest.mark.parametrize("layer_class", MODES)
def test_gate_decides_between_the_base_and_the_task(layer_class):
    x = np.random.default_rng(0).normal(3.0, size=(4, 6, 10, 3)).astype("float32")
    base = randomised(layer_class.__mro__[2](), x)
    results = {}
    for mode in ("affine", "frozen", "owned"):
        layer = layer_class(mode=mode)
        layer.build(x.shape)
        layer.start_from(base)
        results[mode] = layer(x, training=True)
    np.testing.assert_allclose(results["owned"], results["affine"], atol=1e-5)
    for for_good in (False, True):
        layer.decide(False, for_good=for_good)
        np.testing.assert_allclose(layer(x, training=True), results["frozen"], atol=1e-5)
    before = layer.moving_mean.numpy()
    layer(x, training=True)
    np.testing.assert_array_equal(layer.moving_mean, before)
    assert layer.task_variables() == {}
    layer.decide(True, for_good=True)
    np.testing.assert_allclose(layer(x, training=True), results["affine"], atol=1e-5)
    assert set(layer.task_variables()) == {"moving_mean", "moving_variance", "gamma", "beta"}


@pytest.mark.parametrize("mode", ["affine", "owned"])
def test_training_keeps_the_sign_of_gamma(mode):
    base = keras.layers.BatchNormalization()
    base.build((None, 4))
    base.gamma.assign([1.0, -1.0, 0.5, 0.0])
    layer = SWRBatchNormalization(mode=mode)
    layer.build((None, 4))
    layer.start_from(base)
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([np.array([3.0, -3.0, -1.0, 1.0], "float32")], [layer.gamma])
    np.testing.assert_allclose(layer.gamma, [1e-3, -1e-3, 1.5, -1.0], rtol=1e-6)
