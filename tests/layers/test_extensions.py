"""What extensions add to a base, and what they leave of it."""

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.accounting import summary
from swr_keras.graph import walk
from swr_keras.layers.extension_kinds import extension_from_dict
from swr_keras.layers.residual_adapters import ResidualAdapters
from swr_keras.layers.routed_blocks import ExampleRouting, RoutedBlocks
from swr_keras.layers.side_modules import SideModules, divisible

KINDS = [ResidualAdapters(), RoutedBlocks(width=2), SideModules()]
every_kind = pytest.mark.parametrize("extension", KINDS, ids=lambda extension: extension.kind)


def added(base, model):
    """The added layers with weights, by path."""
    own = dict(walk(base))
    return {path: each for path, each in walk(model) if each.weights and path not in own}


def examples(shape, count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype("float32")


BASES = {
    "bcresnet": lambda: swr.backbones.bcresnet(1, input_shape=(9, 40, 1)),
    "bcresnet of any length": lambda: swr.backbones.bcresnet(1, input_shape=(None, 40, 1)),
    "res15": lambda: swr.backbones.res15(4, input_shape=(9, 6, 1)),
    "res15 of any size": lambda: swr.backbones.res15(4, input_shape=(None, None, 1)),
    "resnet": lambda: keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=3),
}


@every_kind
@pytest.mark.parametrize("name", BASES)
def test_it_computes_at_first_what_the_base_does(name, extension):
    base = BASES[name]()
    before = base.get_weights()
    model = extension.extend(base)
    shape = [size or 11 for size in base.input_shape[1:]]
    shape[1] = base.input_shape[2] or 7
    x = examples(shape)
    np.testing.assert_array_equal(model(x), base(x))
    copies = dict(walk(model))
    for path, layer in walk(base):
        for old, new in zip(layer.get_weights(), copies[path].get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


CONVOLUTIONS = [
    (layers.Conv2D(3, 3, name="conv"), (7, 6, 2)),
    (layers.Conv2D(3, 3, padding="same", activation="relu", name="conv"), (7, 6, 2)),
    (layers.Conv2D(3, (5, 3), (2, 1), name="conv"), (11, 6, 2)),
    (layers.Conv2D(3, (1, 3), dilation_rate=(1, 2), use_bias=False, name="conv"), (7, 9, 2)),
    (layers.Conv2D(3, 3, dilation_rate=2, padding="same", name="conv"), (7, 9, 2)),
    (layers.Conv1D(3, 5, 3, activation="tanh", name="conv"), (14, 2)),
    (layers.Conv1D(3, 3, padding="same", name="conv"), (7, 2)),
    (layers.Conv3D(3, 3, (1, 2, 1), name="conv"), (5, 6, 5, 2)),
]


@pytest.mark.parametrize(("convolution", "shape"), CONVOLUTIONS)
def test_an_adapter_adds_to_the_middle_of_the_kernel(convolution, shape):
    convolution = convolution.from_config(convolution.get_config())
    inputs = keras.Input(shape)
    x = layers.Flatten()(convolution(inputs))
    base = keras.Model(inputs, layers.Dense(2, name="head")(x))
    model = ResidualAdapters(layers=("conv",), initializer="normal").extend(base)
    assert list(added(base, model)) == ["conv_adapter"]
    kernel = convolution.kernel.numpy()
    kernel[tuple(size // 2 for size in convolution.kernel_size)] += model.get_layer(
        "conv_adapter"
    ).kernel.numpy()[(0,) * (kernel.ndim - 2)]
    convolution.kernel.assign(kernel)
    np.testing.assert_allclose(model(examples(shape)), base(examples(shape)), atol=1e-5)


def test_an_adapter_beside_a_depthwise_convolution_mixes_channels(base):
    model = ResidualAdapters(layers=("depthwise",)).extend(base)
    assert model.get_layer("depthwise_adapter").kernel.shape == (1, 1, 6, 6)


def test_which_convolutions_have_an_adapter(base, blocked_base):
    for build, expected in (
        (lambda: base, ["conv_adapter"]),
        (blocked_base, ["stem_conv_adapter", "block0_expand_adapter", "block1_conv_adapter"]),
    ):
        own = build()
        assert list(added(own, ResidualAdapters().extend(own))) == expected


def test_one_adapter_for_all_calls_of_a_shared_convolution():
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    inputs = keras.Input((4, 4, 2))
    x = layers.Flatten()(shared(shared(inputs)))
    base = keras.Model(inputs, layers.Dense(2, name="head")(x))
    model = ResidualAdapters(initializer="normal").extend(base)
    assert list(added(base, model)) == ["shared_adapter"]
    kernel = shared.kernel.numpy()
    kernel[1, 1] += model.get_layer("shared_adapter").kernel.numpy()[0, 0]
    shared.kernel.assign(kernel)
    np.testing.assert_allclose(model(examples((4, 4, 2))), base(examples((4, 4, 2))), atol=1e-5)


def counts(extension, base):
    """Added parameters and multiplies as shares of the base's."""
    before, after = summary(base), summary(extension.extend(base))
    return after.parameters - before.parameters, after.multiplies, before


def test_costs_for_bcresnet_8():
    base = swr.backbones.bcresnet(8)
    parameters, multiplies, before = counts(ResidualAdapters(), base)
    assert parameters == 128 + 128 * 64 + 64 * 96 + 96 * 128 + 128 * 160
    at = (128 + 128 * 64 + 64 * 96) * 20 + 96 * 128 * 10 + 128 * 160 * 5
    assert multiplies == before.multiplies + 101 * at
    norm, head = 19_328, 3_084
    assert round(1 + 2 * (parameters + norm + head) / before.parameters, 2) == 1.43


def test_costs_for_res15():
    base = swr.backbones.res15()
    parameters, multiplies, before = counts(ResidualAdapters(), base)
    assert parameters == 45 + 13 * 45 * 45
    assert multiplies == before.multiplies + parameters * 101 * 40
    assert round(1 + 2 * parameters / before.parameters, 2) == 1.22


def test_costs_of_side_modules(blocked_base):
    parameters, multiplies, before = counts(SideModules(expand=1.0), blocked_base())
    of_input = 9 * 8 + 8 * 6
    of_block = 9 * 6 * 8 + 8 * 8
    assert parameters == of_input + of_block + 2 * (8 + 6) + 2 * (8 + 8)
    assert multiplies == before.multiplies + 3 * 2 * of_input + 5 * 4 * of_block


def test_costs_of_routed_blocks():
    base = swr.backbones.bcresnet(8)
    model = RoutedBlocks().extend(base)
    agent = [layer for path, layer in added(base, model).items() if path.startswith("agent_")]
    convolutions = sum(layer.count_params() for layer in agent if type(layer) is layers.Conv2D)
    assert convolutions == 163_404
    (dense,) = [layer for layer in agent if type(layer) is layers.Dense]
    assert dense.kernel.shape == (96, 24)
    copies = {path for path in added(base, model) if path.endswith("_tuned")}
    assert copies == {
        f"{path}_tuned" for path, each in walk(base) if "block" in path and each.weights
    }


def test_side_modules_are_beside_stages_or_where_they_are_wanted():
    def beside(base, **options):
        found = added(base, SideModules(**options).extend(base))
        return [path.removesuffix("_side_conv") for path in found if path.endswith("_side_conv")]

    bcresnet, res15 = swr.backbones.bcresnet(1), swr.backbones.res15(4)
    assert beside(bcresnet) == ["input", *(f"stage{stage}_block0" for stage in range(4))]
    assert beside(bcresnet, at=("stage3_block3",)) == ["input", "stage3_block3"]
    assert beside(res15) == ["input", *(f"add{index}" for index in range(2, 13, 2))]
    assert beside(res15, blocks=("relu0", "add2", "norm13")) == ["input", "add2", "norm13"]


@pytest.mark.parametrize(("channels", "expected"), [(1, 8), (12, 16), (8.8, 8), (57.6, 56)])
def test_channels_are_made_divisible(channels, expected):
    assert divisible(channels) == expected


def test_decisions_are_likely_ones_at_inference_and_draws_in_training():
    logits = np.zeros((4000, 3, 2), "float32")
    logits[:, 1, 1], logits[:, 2, 0] = np.log(3.0), 50.0
    routing = ExampleRouting(temperature=5.0, seed=3)
    np.testing.assert_array_equal(routing(logits)[0], [0.0, 1.0, 0.0])
    drawn = np.asarray(routing(logits, training=True))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), [0.5, 0.75, 0.0], atol=0.03)
    assert np.any(drawn != np.asarray(routing(logits, training=True)))
    np.testing.assert_array_equal(ExampleRouting(5.0, 3)(logits, training=True), drawn)


def test_each_example_has_a_decision_of_its_own(blocked_base):
    base = blocked_base()
    model = RoutedBlocks(width=2).extend(base)
    x = examples((10, 8, 1), 16)
    agent = keras.Model(model.input, model.get_layer("agent_routing").output)
    logits = model.get_layer("agent_logits")
    logits.kernel.assign(5.0 * np.random.default_rng(0).normal(size=logits.kernel.shape))
    decisions = np.asarray(agent(x))
    assert len(np.unique(decisions, axis=0)) > 1
    tuned = model.get_layer("block1_conv_tuned")
    tuned.kernel.assign(tuned.kernel + 1.0)
    differs = np.any(np.asarray(model(x)) != np.asarray(base(x)), axis=1)
    np.testing.assert_array_equal(differs, decisions[:, 1] == 1.0)


def sequence_base():
    inputs = keras.Input((9, 4))
    x = layers.Conv1D(4, 3, padding="same", name="block0_conv")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalMaxPooling1D()(x)))


def dense_base():
    return keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def layer_norm_base():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(2, 3, padding="same", name="block0_conv")(inputs)
    x = layers.LayerNormalization(name="block0_norm")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("extension", "build", "message"),
    [
        (ResidualAdapters(layers=("relu",)), layer_norm_base, "must name convolutions.*'relu'"),
        (
            ResidualAdapters(),
            lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2)]),
            "must",
        ),
        (SideModules(), sequence_base, r"height, width, channels.*\(None, 9, 4\)"),
        (RoutedBlocks(), sequence_base, r"height, width, channels.*\(None, 9, 4\)"),
        (
            SideModules(at=("block7",)),
            layer_norm_base,
            "`at` must .*'block0'.*'block7'",
        ),
        (RoutedBlocks(), layer_norm_base, "'block0_norm_tuned', a LayerNormalization"),
    ],
)
def test_what_does_not_suit_a_base_is_refused(extension, build, message):
    with pytest.raises(ValueError, match=message):
        swr.reparametrize(build(), extension=extension)


@every_kind
def test_round_trip_as_a_dict(extension):
    assert extension_from_dict(extension.as_dict()) == extension
    assert hash(extension) == hash(extension_from_dict(extension.as_dict()))


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        {},
        {"kind": ["side_modules"]},
        {"kind": "none"},
        {"kind": "residual_adapters"},
        {**ResidualAdapters().as_dict(), "more": 1},
        {**ResidualAdapters().as_dict(), "layers": "conv"},
        {**ResidualAdapters().as_dict(), "layers": [1]},
        {**ResidualAdapters().as_dict(), "initializer": "ones"},
        {**SideModules().as_dict(), "expand": 1e9},
        {**SideModules().as_dict(), "expand": float("nan")},
        {**SideModules().as_dict(), "kernel_size": 4},
        {**SideModules().as_dict(), "kernel_size": True},
        {**SideModules().as_dict(), "pooling": 0},
        {**RoutedBlocks().as_dict(), "width": 10**9},
        {**RoutedBlocks().as_dict(), "width": 12.0},
        {**RoutedBlocks().as_dict(), "temperature": 0},
        {**RoutedBlocks().as_dict(), "seed": -1},
    ],
)
def test_what_is_no_description_is_refused(about):
    with pytest.raises(ValueError, match="Received"):
        extension_from_dict(about)
