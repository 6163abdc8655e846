from collections import Counter

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.backbones import res15
from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.flatbuffer import read_model
from swr_keras.layers.normalization import TaskNormalization
from swr_keras.layers.reparametrized_model import policy_layers

DILATIONS = (1, 1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def examples():
    return np.random.default_rng(0).normal(size=(8, 50, 24, 1)).astype("float32")


@pytest.fixture(scope="module")
def narrow(examples):
    """A Res15 of 4 maps with the statistics of its data."""
    keras.utils.set_random_seed(0)
    model = res15(4, input_shape=(50, 24, 1))
    for _ in range(12):
        model(examples, training=True)
    return model


@pytest.mark.parametrize(
    ("width", "parameters"), [(45, 405 + 236_925 + 552), (19, 171 + 42_237 + 240)]
)
def test_size_and_policy_layers(width, parameters):
    model = res15(width)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters
    layers = policy_layers(swr.reparametrize(model, num_classes=12))
    assert list(layers) == [f"conv{i}" for i in range(14)]
    assert [layer.num_parameters() for layer in layers.values()] == [
        9 * width,
        *[9 * width**2] * 13,
    ]


@pytest.mark.parametrize("frames", [101, 225, None])
def test_full_resolution_and_dilations(frames):
    model = res15(input_shape=(frames, 40, 1))
    for index, dilation in enumerate(DILATIONS):
        layer = model.get_layer(f"conv{index}")
        assert layer.dilation_rate == (dilation, dilation)
        assert layer.output.shape == (None, frames, 40, 45)
        assert layer.kernel.shape[:2] == (3, 3)
        assert not layer.use_bias
    assert model.output.shape == (None, 12)


def test_batch_norm_has_no_affine_and_follows_short_trainings():
    model = res15()
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert [norm.name for norm in norms] == [f"norm{i}" for i in range(1, 14)]
    for norm in norms:
        assert len(norm.weights) == 2
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def _convolve(x, kernel, dilation):
    """Zero-padded by the dilation on all four sides, `(time, mel, channels)`."""
    time, mel, _ = x.shape
    padded = np.pad(x, ((dilation, dilation), (dilation, dilation), (0, 0)))
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(
        padded[i * dilation : i * dilation + time, j * dilation : j * dilation + mel]
        @ np.float64(kernel[i, j])
        for i, j in taps
    )


def test_outputs_equal_the_definition(narrow, examples):
    def relu(x):
        return np.maximum(x, 0)

    kernels = [narrow.get_layer(f"conv{i}").kernel.numpy() for i in range(14)]
    residual = x = relu(_convolve(np.float64(examples[0]), kernels[0], 1))
    for i in range(1, 14):
        y = relu(_convolve(x, kernels[i], DILATIONS[i]))
        if i % 2 == 0:
            x = residual = y + residual
        else:
            x = y
        norm = narrow.get_layer(f"norm{i}")
        x = (x - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + 1e-5)
    head = narrow.get_layer("head")
    expected = x.mean((0, 1)) @ head.kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(narrow(examples[:1])[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", TaskNormalization.MODES)
def test_transfer_in_every_batch_norm_mode(narrow, examples, mode):
    np.testing.assert_array_equal(
        swr.reparametrize(narrow, batch_norm=mode)(examples), narrow(examples)
    )
    search = swr.PolicySearch(swr.SuperNet(narrow, num_classes=3, batch_norm=mode))
    policy = search.policy(0.5)
    task = swr.TaskModel(narrow, policy, num_classes=3, batch_norm=mode)
    task.compile(keras.optimizers.SGD(0.1), LOSS)
    task.fit(examples, np.arange(8) % 3, epochs=2, verbose=0)

    pack = task.pack()
    names = ("moving_mean", "moving_variance")
    statistics = {f"norm{i}/{name}" for i in range(1, 14) for name in names}
    owned = {name for name in pack.arrays if name.startswith("norm")}
    if mode == "owned":
        chosen = {f"{path}/{name}" for path in policy.selected_layers for name in names}
        assert owned == statistics & chosen != set()
    else:
        assert owned == (set() if mode == "frozen" else statistics)
    restored = swr.TaskModel.from_pack(narrow, pack)
    np.testing.assert_array_equal(restored(examples), task(examples))

    merged = task.merge(check_on=examples)
    np.testing.assert_allclose(merged(examples), task(examples), rtol=1e-4, atol=1e-5)
    assert merged.count_params() == res15(4, num_classes=3).count_params()


def test_int8_for_microcontrollers(narrow, examples):
    data = convert_int8(narrow, examples).data
    kinds = Counter(operator.name for operator in read_model(data).operators)
    assert kinds == {
        "CONV_2D": 14,
        "ADD": 6,
        "DEPTHWISE_CONV_2D": 13,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
    }
    expected = narrow.predict(examples[:4], verbose=0)
    actual = LiteModel(data, engine="tflm").predict(examples[:4])
    assert 10 * np.log10(np.mean(expected**2) / np.mean((actual - expected) ** 2)) > 20


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"width": 0}, "must be positive. Received: width=0"),
        ({"input_shape": (101, 40)}, r"must be \(time, coefficients, 1\)"),
    ],
)
def test_impossible_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        res15(**kwargs)
