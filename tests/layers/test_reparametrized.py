import keras
import numpy as np
import pytest
import tensorflow as tf

from swr_keras import layers as swr

LAYERS = [
    # layer, arguments, input shape
    ("Dense", {"units": 5}, (3, 4)),
    ("Dense", {"units": 5, "use_bias": False, "activation": "relu"}, (3, 6, 4)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, (2, 9, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}, (2, 9, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 1), "strides": (2, 1)}, (2, 8, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2, "padding": "same"}, (2, 8, 7, 6)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": (2, 1)}, (2, 8, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, (2, 3, 8, 7)),
    ("Conv3D", {"filters": 2, "kernel_size": 2}, (2, 4, 4, 4, 2)),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 5, 3)),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 5, 5, 3)),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 2}, (2, 3, 3, 3, 2)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, (2, 9, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "dilation_rate": 2, "use_bias": False}, (2, 9, 9, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, (2, 9, 9, 3)),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3}, (2, 9, 3)),
    ("SeparableConv2D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}, (2, 9, 9, 3)),
]
IDS = [f"{name}-{'-'.join(map(str, kwargs.values()))}" for name, kwargs, _ in LAYERS]
matrix = pytest.mark.parametrize(("name", "kwargs", "shape"), LAYERS, ids=IDS)


def make(name, kwargs, shape, **more):
    """A reparametrized layer and the plain one with the same weights, and an input."""
    rng = np.random.default_rng(0)
    layer = getattr(swr, f"SWR{name}")(**kwargs, **more)
    plain = getattr(keras.layers, name)(**kwargs, **more)
    layer.build(shape)
    plain.build(shape)
    for variable in layer.frozen.values():
        variable.assign(rng.normal(size=variable.shape))
    set_plain(plain, {key: value.numpy() for key, value in layer.frozen.items()})
    x = rng.normal(size=shape).astype("float32")
    try:
        plain(x)
    except tf.errors.UnimplementedError:
        pytest.skip(f"TensorFlow can't compute Keras' own {name} on this processor: {kwargs}")
    return layer, plain, x


def set_plain(plain, weights):
    for variable in plain.weights:
        variable.assign(weights[variable.name])


def set_deltas(layer):
    rng = np.random.default_rng(1)
    for variable in layer.delta.values():
        variable.assign(rng.normal(size=variable.shape))


@matrix
def test_zero_delta_is_the_plain_layer_bit_for_bit(name, kwargs, shape):
    layer, plain, x = make(name, kwargs, shape)
    np.testing.assert_array_equal(layer(x), plain(x))
    assert layer.num_parameters() == plain.count_params()
    assert layer.compute_output_shape(shape) == plain.compute_output_shape(shape)


@matrix
@pytest.mark.parametrize("gate", [0.0, 1.0, 0.25])
def test_computes_with_frozen_plus_gate_times_delta(name, kwargs, shape, gate):
    layer, plain, x = make(name, kwargs, shape)
    set_deltas(layer)
    layer.gate.assign(gate)
    expected = {
        key: layer.frozen[key].numpy() + np.float32(gate) * layer.delta[key].numpy()
        for key in layer.frozen
    }
    set_plain(plain, expected)
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-5)
    merged = layer.merged_weights()
    assert merged.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(merged[key], value, rtol=1e-6)


@matrix
def test_toggling_trainable_never_thaws_frozen_weights(name, kwargs, shape):
    layer, _, x = make(name, kwargs, shape)
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    model.trainable = False
    assert not model.trainable_variables
    model.trainable = True
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in layer.delta.values()}
    frozen = {key: value.numpy() for key, value in layer.frozen.items()}
    model.compile("sgd", "mse")
    model.fit(x, np.ones(layer(x).shape), verbose=0)
    for key, value in frozen.items():
        np.testing.assert_array_equal(layer.frozen[key], value)
    assert any(np.any(delta.numpy()) for delta in layer.delta.values())
    assert float(layer.gate) == 1.0


@matrix
@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5"])
def test_saving_keeps_frozen_weights_deltas_and_gate_apart(name, kwargs, shape, kind, tmp_path):
    layer, _, x = make(name, kwargs, shape)
    set_deltas(layer)
    layer.gate.assign(0.5)
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    path = tmp_path / kind
    if kind == "model.keras":
        model.save(path)
        restored = keras.saving.load_model(path)
    else:
        model.save_weights(path)
        other, _, _ = make(name, kwargs, shape)
        restored = keras.Sequential([keras.Input(shape[1:]), other])
        restored.load_weights(path)
    again = restored.layers[0]
    assert type(again) is type(layer)
    assert float(again.gate) == 0.5
    for key in layer.frozen:
        np.testing.assert_array_equal(again.frozen[key], layer.frozen[key])
        np.testing.assert_array_equal(again.delta[key], layer.delta[key])
    np.testing.assert_array_equal(restored(x), model(x))


@matrix
def test_gradient_reaches_the_gate_through_a_stateless_scope(name, kwargs, shape):
    layer, _, x = make(name, kwargs, shape)
    set_deltas(layer)
    gate = tf.constant(0.3)
    with tf.GradientTape() as tape:
        tape.watch(gate)
        with keras.StatelessScope(state_mapping=[(layer.gate, gate)]):
            loss = tf.reduce_mean(layer(x) ** 2)
    gradient = float(tape.gradient(loss, gate))
    step = 1e-2
    losses = []
    for value in (0.3 - step, 0.3 + step):
        layer.gate.assign(value)
        losses.append(float(tf.reduce_mean(layer(x) ** 2)))
    assert gradient == pytest.approx((losses[1] - losses[0]) / (2 * step), rel=0.05, abs=1e-3)
    assert gradient != 0


@matrix
def test_mixed_precision_adds_in_float32_and_computes_in_bfloat16(name, kwargs, shape):
    layer, plain, x = make(name, kwargs, shape, dtype="mixed_bfloat16")
    found, expected = (np.asarray(which(x), "float32") for which in (layer, plain))
    # Keras runs grouped convolutions by XLA, which may skip the rounding of weights to bfloat16.
    tolerance = 2e-2 if kwargs.get("groups", 1) > 1 else 0.0
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=4 * tolerance)
    assert all(v.dtype == "float32" for v in [*layer.frozen.values(), *layer.delta.values()])
    kernel = next(name for name in layer.frozen if name.endswith("kernel"))
    layer.frozen[kernel].assign(np.ones(layer.frozen[kernel].shape))
    layer.delta[kernel].assign(np.full(layer.delta[kernel].shape, 1e-4))
    assert np.allclose(layer.merged_weights()[kernel], 1.0001, atol=1e-6)
    assert layer(x).dtype == "bfloat16"


def test_config_round_trip_rebuilds_the_layer():
    layer = swr.SWRConv2D(8, 3, strides=2, padding="same", activation="relu", name="conv")
    config = layer.get_config()
    again = swr.SWRConv2D.from_config(config)
    assert again.get_config() == config
    assert config == {**keras.layers.Conv2D.from_config(config).get_config()}


def test_regularizer_acts_on_the_delta():
    layer = swr.SWRDense(3, kernel_regularizer=keras.regularizers.L2(1.0))
    layer.build((None, 2))
    layer.frozen["kernel"].assign(np.ones((2, 3)))
    layer(np.zeros((1, 2), "float32"))
    assert sum(float(loss) for loss in layer.losses) == 0.0
    layer.delta["kernel"].assign(np.full((2, 3), 2.0))
    assert sum(float(loss) for loss in layer.losses) == 24.0


def test_constraint_is_refused():
    with pytest.raises(ValueError, match="does not support weight constraints.*kernel_constraint"):
        swr.SWRConv2D(4, 3, kernel_constraint=keras.constraints.MaxNorm(1.0))


def test_lora_is_refused():
    with pytest.raises(ValueError, match="cannot be combined"):
        swr.SWRDense(4, lora_rank=2)
    layer = swr.SWRDense(4)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="cannot be combined"):
        layer.enable_lora(2)


def test_setting_the_effective_weight_is_refused():
    layer = swr.SWRDense(3)
    with pytest.raises(AttributeError, match="Build the layer"):
        _ = layer.kernel
    layer.build((None, 2))
    with pytest.raises(AttributeError, match="layer.frozen\\['kernel'\\]"):
        layer.kernel = np.zeros((2, 3))


def test_loading_other_variables_is_an_error(tmp_path):
    with_bias = keras.Sequential([keras.Input((2,)), swr.SWRDense(3)])
    without = keras.Sequential([keras.Input((2,)), swr.SWRDense(3, use_bias=False)])
    without.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match="expected the variables"):
        with_bias.load_weights(tmp_path / "a.weights.h5")
