"""Tests of `swr_keras.export.deploy_graph`: same function, other graph."""

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.backbones.bcresnet import bcresnet
from swr_keras.export import deploy_graph
from swr_keras.layers.normalization import FusedBatchNormalization, SubSpectralNormalization


def randomize_norms(model, seed=0):
    """Gives every batch norm random statistics and affine, with gammas of both signs."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            signs = rng.choice([-1.0, 1.0], size)
            layer.moving_mean.assign(rng.normal(0, 0.3, size))
            layer.moving_variance.assign(rng.uniform(0.1, 2.0, size))
            if layer.gamma is not None:
                layer.gamma.assign(signs * rng.uniform(0.5, 1.5, size))
            if layer.beta is not None:
                layer.beta.assign(rng.normal(0, 0.3, size))
        elif isinstance(layer, keras.Model):
            randomize_norms(layer, seed + 1)


def snr_db(expected, actual):
    """Signal-to-noise ratio of `actual` in dB."""
    noise = np.mean((np.float64(expected) - actual) ** 2)
    return 10 * np.log10(np.mean(np.float64(expected) ** 2) / max(noise, 1e-300))


def assert_equivalent(model, examples=6, min_snr_db=100.0):
    """Checks that the deploy graph computes what the model does; returns the deploy graph."""
    randomize_norms(model)
    shape = (examples, *model.input_shape[1:])
    inputs = np.random.default_rng(7).normal(size=shape).astype("float32")
    before = [w.copy() for w in model.get_weights()]
    config = model.get_config()
    deployed = deploy_graph(model)
    expected = keras.ops.convert_to_numpy(model(inputs, training=False))
    actual = np.concatenate([np.asarray(deployed(x[None], training=False)) for x in inputs])
    assert snr_db(expected, actual) > min_snr_db
    assert deployed.input_shape == (1, *model.input_shape[1:])
    assert model.get_config() == config
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return deployed


def kinds(model):
    """Class names of the layers, without inputs."""
    return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]


def norm_count(model):
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)


def test_bcresnet():
    deployed = assert_equivalent(bcresnet(1))
    assert norm_count(deployed) == 0
    assert not any("Dropout" in kind for kind in kinds(deployed))
    assert max(len(op.output.shape) for op in deployed.operations) == 4


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv1D(4, 3), (9, 3)),
        (layers.Conv2D(4, 3, strides=2, use_bias=False), (9, 8, 3)),
        (layers.Conv2D(4, 3, groups=2), (9, 8, 2)),
        (layers.Dense(5), (7,)),
        (layers.Dense(5, use_bias=False), (6, 7)),
        (layers.DepthwiseConv1D(3, depth_multiplier=2), (9, 3)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), (9, 8, 3)),
        (layers.DepthwiseConv2D((3, 1), dilation_rate=(2, 1), padding="same"), (9, 8, 3)),
        (layers.SeparableConv1D(4, 3), (9, 3)),
        (layers.SeparableConv2D(4, 3, depth_multiplier=2), (9, 8, 3)),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else str(value),
)
@pytest.mark.parametrize("norm", [layers.BatchNormalization, FusedBatchNormalization])
@pytest.mark.parametrize("affine", [True, False], ids=["affine", "no_affine"])
def test_batch_norm_is_folded(layer, shape, norm, affine):
    layer = type(layer).from_config(layer.get_config())
    inputs = keras.Input(shape)
    x = norm(scale=affine, center=affine)(layers.Dropout(0.5)(layer(inputs)))
    deployed = assert_equivalent(keras.Model(inputs, layers.ReLU()(x)))
    assert kinds(deployed) == [type(layer).__name__, "ReLU"]


def test_conv_with_another_consumer_is_not_folded():
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(3, 3, padding="same")(inputs)
    y = layers.BatchNormalization()(x)
    deployed = assert_equivalent(keras.Model(inputs, layers.Add()([x, y])))
    assert kinds(deployed) == ["Conv2D", "DepthwiseConv2D", "Add"]


def test_conv_that_is_an_output_is_not_folded():
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(3, 3)(inputs)
    model = keras.Model(inputs, [x, layers.BatchNormalization()(x)])
    randomize_norms(model)
    example = np.random.default_rng(0).normal(size=(1, 9, 8, 3)).astype("float32")
    for expected, actual in zip(model(example), deploy_graph(model)(example), strict=True):
        np.testing.assert_allclose(expected, actual, rtol=1e-5, atol=1e-5)


def test_dense_with_lora_is_not_folded():
    dense = layers.Dense(5)
    model = keras.Sequential([keras.Input((7, 6)), dense, layers.BatchNormalization()])
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    assert kinds(assert_equivalent(model)) == ["Dense", "DepthwiseConv1D"]


def test_conv_with_activation_is_not_folded():
    model = keras.Sequential(
        [keras.Input((9, 8, 3)), layers.Conv2D(4, 3, activation="relu"), FusedBatchNormalization()]
    )
    assert kinds(assert_equivalent(model)) == ["Conv2D", "DepthwiseConv2D"]


def test_shared_conv_and_shared_norms():
    inputs = keras.Input((9, 8, 3))
    conv, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()
    bands = SubSpectralNormalization(2)
    x = bands(norm(conv(bands(norm(conv(inputs))))))
    deployed = assert_equivalent(keras.Model(inputs, x))
    assert norm_count(deployed) == 0


@pytest.mark.parametrize("shape", [(8, 3), (8,)])
def test_stand_alone_batch_norm_of_other_ranks(shape):
    inputs = keras.Input(shape)
    deployed = assert_equivalent(keras.Model(inputs, FusedBatchNormalization()(inputs)))
    assert kinds(deployed) == (
        ["DepthwiseConv1D"] if len(shape) == 2 else ["FusedBatchNormalization"]
    )


def test_batch_norm_over_another_axis_is_left_alone():
    inputs = keras.Input((9, 8, 3))
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(3, 3)(inputs))
    assert kinds(assert_equivalent(keras.Model(inputs, x))) == ["Conv2D", "BatchNormalization"]


@pytest.mark.parametrize("width", [1, 2, 4], ids=lambda width: f"{width}_per_band")
def test_sub_spectral_norm(width):
    inputs = keras.Input((6, 5 * width, 3))
    x = layers.DepthwiseConv2D(3, padding="same")(inputs)
    deployed = assert_equivalent(keras.Model(inputs, SubSpectralNormalization(5)(x)))
    assert kinds(deployed) == ["DepthwiseConv2D", "Reshape", "DepthwiseConv2D", "Reshape"]


@pytest.mark.parametrize("pooled", [False, True], ids=["", "pooled"])
@pytest.mark.parametrize(
    "conv",
    [layers.DepthwiseConv2D, layers.Conv2D, layers.SeparableConv2D, layers.Dense],
    ids=lambda conv: conv.__name__,
)
def test_channels_before_sub_spectral_norm_get_one_range(conv, pooled):
    arguments = {"units": 3} if conv is layers.Dense else {"kernel_size": 3, "padding": "same"}
    if conv in (layers.Conv2D, layers.SeparableConv2D):
        arguments["filters"] = 3
    inputs = keras.Input((6, 10, 3))
    x = conv(**arguments, name="conv")(inputs)
    if pooled:
        x = layers.MaxPooling2D(1, (1, 2))(x)
    x = SubSpectralNormalization(5, momentum=0.0, name="norm")(x)
    model = keras.Model(inputs, x)
    kernel = model.get_layer("conv").weights[-2]
    scales = np.float32([1.0, 1e-3, 1e3])
    shape = (3, 1) if conv is layers.DepthwiseConv2D else (3,)
    kernel.assign(kernel * scales.reshape(shape))
    clips = np.random.default_rng(0).normal(size=(50, 6, 10, 3)).astype("float32")
    model(clips, training=True)
    model.get_layer("norm").epsilon = 1e-12
    deployed = deploy_graph(model)
    probe = keras.Model(deployed.input, deployed.get_layer("conv").output)
    ranges = np.std([np.asarray(probe(clip[None]))[0] for clip in clips], axis=(0, 1, 2))
    assert ranges.max() < 1.5 * ranges.min()
    expected = np.asarray(model(clips[:1]))
    assert snr_db(expected, np.asarray(deployed(clips[:1]))) > 90


def test_a_convolution_with_another_consumer_is_not_equalized():
    inputs = keras.Input((6, 10, 3))
    x = layers.DepthwiseConv2D(3, padding="same", name="conv")(inputs)
    model = keras.Model(inputs, layers.Add()([x, SubSpectralNormalization(5)(x)]))
    deployed = assert_equivalent(model)
    np.testing.assert_array_equal(deployed.get_layer("conv").kernel, model.get_layer("conv").kernel)


def test_nested_models_are_flattened():
    inner = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization()])
    block_inputs = keras.Input((9, 8, 3))
    block = keras.Model(block_inputs, layers.ReLU(name="relu")(inner(block_inputs)))
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    x = layers.Concatenate()([block(x), block(inputs)])
    deployed = assert_equivalent(keras.Model(inputs, layers.ReLU(name="relu")(x)))
    assert not any(isinstance(layer, keras.Model) for layer in deployed.layers)


def test_norm_outside_of_a_nested_model_is_folded_into_it():
    inner = keras.Sequential([keras.Input((9, 8, 3)), layers.Conv2D(4, 3)])
    model = keras.Sequential([inner, layers.BatchNormalization(), layers.Flatten()])
    model.build((None, 9, 8, 3))
    assert kinds(assert_equivalent(model)) == ["Conv2D", "Flatten"]


def test_operations_and_slices():
    inputs = keras.Input((9, 8, 3))
    x = keras.ops.maximum(inputs[:, ::2, 1:], 0.0) + 1.0
    assert_equivalent(keras.Model(inputs, layers.Dense(4)(keras.ops.mean(x, axis=(1, 2)))))


def test_several_inputs_as_a_dictionary():
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    model = keras.Model(inputs, layers.Dense(3)(layers.Add()([inputs["a"], inputs["b"]])))
    example = {name: np.ones((1, 4), "float32") for name in inputs}
    np.testing.assert_allclose(model(example), deploy_graph(model)(example), rtol=1e-5)


def test_mixed_precision_becomes_float32():
    inputs = keras.Input((9, 8, 3))
    x = layers.Conv2D(4, 3, dtype="mixed_float16")(inputs)
    x = FusedBatchNormalization(dtype="mixed_float16")(x)
    deployed = assert_equivalent(
        keras.Model(inputs, layers.Activation("silu", dtype="mixed_float16")(x)), min_snr_db=40
    )
    assert all(layer.compute_dtype == "float32" for layer in deployed.layers)


def test_a_policy_of_mixed_precision_does_not_reach_the_graph():
    def deployed():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((9, 10, 3))
        x = SubSpectralNormalization()(layers.Conv2D(4, 3, padding="same")(inputs))
        x = layers.BatchNormalization()(layers.ReLU()(x))
        return deploy_graph(keras.Model(inputs, x))

    example = np.random.default_rng(0).normal(size=(1, 9, 10, 3)).astype("float32")
    expected = deployed()(example)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = deployed()(example)
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == expected.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_what_an_adapted_or_compiled_model_knows_is_copied():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(5.0, 3.0, (20, 6)))
    inner = keras.Sequential([keras.Input((6,)), norm, layers.Dense(3)])
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
    for one in (inner, model):
        one.compile("adam", lambda y, y_pred: keras.ops.mean(y - y_pred))
    assert_equivalent(model)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def task_model():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2)])
    return swr.TaskModel(base, ["a"])


@pytest.mark.parametrize(
    ("build", "message"),
    [(Subclassed, r"Subclassed.*rewrite a subclassed"), (task_model, r"TaskModel.*`merge\(\)`")],
)
def test_subclassed_model_is_refused(build, message):
    with pytest.raises(ValueError, match=f"Functional and Sequential.*{message}"):
        deploy_graph(build())


def test_unbuilt_sequential_is_refused():
    with pytest.raises(ValueError, match="call it once"):
        deploy_graph(keras.Sequential([layers.Dense(3)]))


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match=r"fixed sizes.*\(None, None, 40, 1\)"):
        deploy_graph(bcresnet(1, input_shape=(None, 40, 1)))


def test_training_fixed_in_the_graph_is_refused():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dropout(0.5, name="mc")(inputs, training=True))
    with pytest.raises(ValueError, match="'mc' is called with training=True"):
        deploy_graph(model)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_augmentation_is_left_out(dtype):
    inputs = keras.Input((8, 8, 3), dtype=dtype)
    x = keras.Sequential([layers.RandomFlip(), layers.RandomZoom(0.2)], name="augment")(inputs)
    x = layers.CenterCrop(6, 6)(layers.Resizing(7, 7)(layers.RandomRotation(0.5)(x)))
    x = layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(x))
    model = keras.Model(inputs, x)
    deployed = deploy_graph(model)
    example = np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3)).astype(dtype)
    expected = model(example, training=False)
    for actual in (deployed(example), deployed(example, training=False)):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    if dtype == "float32":
        assert not any(kind.startswith("Random") for kind in kinds(deployed))


def test_a_nested_model_called_with_training_is_refused_by_path():
    inner = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5, name="mc")], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs, training=True)))
    with pytest.raises(ValueError, match="'inner/mc' is called with training=True"):
        deploy_graph(model)
