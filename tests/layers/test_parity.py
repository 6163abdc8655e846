"""Our layers take the arguments of Keras' own and compute what those do."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import swr_keras.layers as swr_layers

SIGNAL, IMAGE, VOLUME = (9, 4), (9, 8, 4), (6, 5, 7, 4)
CASES = [
    ("Dense", (4,), {"units": 3}),
    ("Dense", (5, 4), {"units": 3, "activation": "relu", "use_bias": False}),
    ("Dense", (2, 3, 4), {"units": 3, "bias_initializer": "ones"}),
    ("Conv1D", SIGNAL, {"filters": 3, "kernel_size": 3}),
    ("Conv1D", SIGNAL, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", SIGNAL, {"filters": 4, "kernel_size": 2, "groups": 2, "strides": 2}),
    ("Conv2D", IMAGE, {"filters": 3, "kernel_size": (3, 2), "padding": "same"}),
    ("Conv2D", IMAGE, {"filters": 4, "kernel_size": 3, "strides": 2, "groups": 2}),
    ("Conv2D", IMAGE, {"filters": 3, "kernel_size": 2, "dilation_rate": 2, "activation": "elu"}),
    ("Conv3D", VOLUME, {"filters": 2, "kernel_size": 2, "use_bias": False}),
    ("Conv3D", VOLUME, {"filters": 2, "kernel_size": (2, 1, 3), "strides": (1, 2, 1)}),
    ("Conv1DTranspose", SIGNAL, {"filters": 3, "kernel_size": 3, "strides": 2}),
    ("Conv1DTranspose", SIGNAL, {"filters": 3, "kernel_size": 3, "padding": "same"}),
    (
        "Conv2DTranspose",
        IMAGE,
        {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1, "padding": "same"},
    ),
    ("Conv3DTranspose", VOLUME, {"filters": 2, "kernel_size": 2, "strides": 2}),
    ("DepthwiseConv1D", SIGNAL, {"kernel_size": 3, "depth_multiplier": 2}),
    ("DepthwiseConv2D", IMAGE, {"kernel_size": 3, "padding": "same", "use_bias": False}),
    ("DepthwiseConv2D", IMAGE, {"kernel_size": (3, 1), "dilation_rate": (2, 1)}),
    ("SeparableConv1D", SIGNAL, {"filters": 3, "kernel_size": 3, "depth_multiplier": 2}),
    ("SeparableConv2D", IMAGE, {"filters": 3, "kernel_size": 3, "strides": 2}),
]
cases = pytest.mark.parametrize(("name", "shape", "kwargs"), CASES)
NAMES = list(dict.fromkeys(name for name, _, _ in CASES))
CONVOLUTIONS = [name for name in NAMES if name != "Dense"]


def pair(name, shape, **kwargs):
    """A Keras layer and ours with its weights, built."""
    plain, ours = getattr(layers, name)(**kwargs), getattr(swr_layers, f"SWR{name}")(**kwargs)
    for layer in (plain, ours):
        layer.build((None, *shape))
    for weight in plain.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
        ours.frozen[weight.name].assign(weight)
    return plain, ours


def examples(shape):
    return tf.constant(np.random.default_rng(0).normal(size=(2, *shape)).astype("float32"))


@cases
def test_outputs_and_shapes(name, shape, kwargs):
    plain, ours = pair(name, shape, **kwargs)
    x = examples(shape)
    np.testing.assert_array_equal(ours(x), plain(x))
    symbolic = keras.Input(shape)
    assert ours(symbolic).shape == plain(symbolic).shape
    for batch in (None, 2):
        given = (batch, *shape)
        assert ours.compute_output_shape(given) == plain.compute_output_shape(given)
    assert ours(x).shape == ours.compute_output_shape(x.shape)


@cases
def test_gradients(name, shape, kwargs):
    found = []
    for layer in pair(name, shape, **kwargs):
        x = examples(shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        found.append(tape.gradient(loss, [x, *layer.trainable_variables]))
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


@cases
def test_configuration(name, shape, kwargs):
    plain, ours = pair(name, shape, **kwargs)
    assert ours.get_config() == {**plain.get_config(), "name": ours.name}
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    again.build((None, *shape))
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(examples(shape)), ours(examples(shape)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(("name", "shape", "kwargs"), CASES[::3])
def test_precision(name, shape, kwargs, policy):
    plain, ours = pair(name, shape, dtype=policy, **kwargs)
    assert {v.dtype for v in ours.delta.values()} == {plain.variable_dtype}
    expected, actual = plain(examples(shape)), ours(examples(shape))
    assert actual.dtype == expected.dtype == plain.compute_dtype
    np.testing.assert_array_equal(tf.cast(actual, "float32"), tf.cast(expected, "float32"))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_channels_first_has_the_same_weights_and_shape(name):
    kwargs = dict(next(kwargs for each, _, kwargs in CASES if each == name))
    shape = next(shape for each, shape, _ in CASES if each == name)
    moved = (shape[-1], *shape[:-1])
    if kwargs.get("padding") == "causal":
        kwargs.pop("padding")
    plain, ours = pair(name, moved, data_format="channels_first", **kwargs)
    assert [v.shape for v in ours.frozen.values()] == [v.shape for v in plain.weights]
    assert ours.compute_output_shape((2, *moved)) == plain.compute_output_shape((2, *moved))


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    plain, ours = getattr(layers, name), getattr(swr_layers, f"SWR{name}")
    assert issubclass(ours, plain)
    for method in ("call", "compute_output_shape", "get_config"):
        assert inspect.signature(getattr(ours, method)) == inspect.signature(getattr(plain, method))
    accepted = inspect.signature(ours.__init__).parameters.values()
    assert {each.kind for each in accepted} >= {inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize(("name", "shape", "kwargs"), CASES[::3])
def test_saving(name, shape, kwargs, tmp_path):
    _, ours = pair(name, shape, **kwargs)
    for delta in ours.delta.values():
        delta.assign(tf.ones_like(delta))
    model = keras.Sequential([keras.Input(shape), ours])
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(examples(shape)), model(examples(shape)))


def test_dense_takes_sparse_inputs():
    dense = np.float32([[0, 1, 0, 2], [3, 0, 0, 0]])
    plain, ours = pair("Dense", (4,), units=3)
    found = []
    for layer in (plain, ours):
        with tf.GradientTape() as tape:
            outputs = layer(tf.sparse.from_dense(dense))
            loss = tf.reduce_sum(outputs**2)
        np.testing.assert_allclose(outputs, layer(dense), rtol=1e-6)
        found.append(tape.gradient(loss, layer.trainable_variables))
    for expected, actual in zip(*found, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(actual), tf.convert_to_tensor(expected), rtol=1e-5
        )
