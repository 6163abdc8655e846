"""Tests of what a policy decides on."""

import keras
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.layers.units import folded_norms, layers_of, policy_units


def test_units_of_bcresnet():
    base = swr.backbones.bcresnet(1)
    for mode in ("frozen", "statistics", "affine", "shift"):
        units = policy_units(base, batch_norm=mode)
        assert len(units) == 43
        assert sum(unit.parameters for unit in units.values()) == 6_420
        assert all(unit.layers == (path,) for path, unit in units.items())
    units = policy_units(base, batch_norm="owned")
    assert sum(unit.parameters for unit in units.values()) == 6_420 + 2_416
    assert sum(unit.kind == "normalization" for unit in units.values()) == 12
    assert units["stem_conv"].layers == ("stem_conv", "stem_norm")
    assert units["neck_depthwise"].layers == ("neck_depthwise",)
    norms = [path for unit in units.values() for path in unit.layers if path.endswith("_norm")]
    assert sorted(norms) == sorted(layer.name for layer in base.layers if "_norm" in layer.name)


def test_bytes_of_a_unit_are_those_of_its_tables():
    base = swr.backbones.bcresnet(1)
    shared = policy_units(base, batch_norm="frozen")
    private = policy_units(base, batch_norm="affine")
    owned = policy_units(base, batch_norm="owned")
    assert shared["stem_conv"].flash_bytes == 400 + 4 * 16
    assert private["stem_conv"].flash_bytes == 400
    assert owned["stem_conv"].flash_bytes == 400 + 4 * 16
    assert private["neck_depthwise"].flash_bytes == 500 + 4 * 20
    assert owned["stage0_block0_frequency_norm"].flash_bytes == 4 * 5 * 8


@pytest.mark.parametrize(
    ("layer", "num_bytes"),
    [
        (layers.Dense(7), 3 * 7 + 4 * 7),
        (layers.Conv2D(4, 2), 2 * 2 * 3 * 4 + 4 * 4),
        (layers.Conv2DTranspose(4, 2), 2 * 2 * 3 * 4 + 4 * 4),
        (layers.DepthwiseConv2D(2, depth_multiplier=2), 2 * 2 * 3 * 2 + 4 * 6),
        (layers.SeparableConv2D(4, 2), 2 * 2 * 3 + 3 * 4 + 4 * (3 + 4)),
    ],
)
def test_bytes_of_each_kind_of_layer(layer, num_bytes):
    layer.name = "changed"
    x = inputs = keras.Input((5, 5, 3))
    x = layers.GlobalAveragePooling2D()(layer(x))
    base = keras.Model(inputs, layers.Dense(2, name="head")(x))
    assert policy_units(base)["changed"].flash_bytes == num_bytes
    task = swr.TaskModel(base, ["changed"])
    row = next(row for row in swr.summary(task).rows if row.path == "changed")
    assert row.flash_bytes == num_bytes


@pytest.mark.parametrize("mode", ["frozen", "statistics", "affine", "shift", "owned"])
@pytest.mark.parametrize("backbone", ["bcresnet", "res15"])
def test_bytes_of_a_task_are_those_of_its_units_and_of_what_is_its_own_at_any_cost(mode, backbone):
    base = getattr(swr.backbones, backbone)()
    units = policy_units(base, batch_norm=mode)
    chosen = list(units)[1::4]
    alone = swr.summary(swr.TaskModel(base, [], batch_norm=mode)).flash_bytes
    task = swr.summary(swr.TaskModel(base, chosen, batch_norm=mode)).flash_bytes
    assert task == alone + sum(units[path].flash_bytes for path in chosen)
    everything = swr.summary(swr.TaskModel(base, list(units), batch_norm=mode)).flash_bytes
    if mode in ("affine", "owned"):
        assert everything == swr.summary(swr.SuperNet(base, batch_norm="affine")).flash_bytes


@pytest.mark.parametrize("mode", ["frozen", "statistics", "affine", "owned"])
@pytest.mark.parametrize(
    ("layer", "own", "outputs"),
    [
        (layers.SeparableConv2D(4, 2, depth_multiplier=2), 2 * 2 * 6 + 6 * 4 + 4 * 6, 4),
        (layers.DepthwiseConv2D(2, depth_multiplier=2), 2 * 2 * 6, 6),
        (layers.Conv2DTranspose(4, 2), 2 * 2 * 3 * 4, 4),
    ],
)
def test_a_folded_norm_makes_private_what_it_is_folded_into(layer, own, outputs, mode):
    layer.name = "changed"
    x = inputs = keras.Input((5, 5, 3))
    x = layers.BatchNormalization(name="norm")(layer(x))
    x = layers.GlobalAveragePooling2D()(x)
    base = keras.Model(inputs, layers.Dense(2, name="head")(x))
    is_private = mode in ("statistics", "affine")
    unit = policy_units(base, batch_norm=mode)["changed"]
    assert unit.flash_bytes == own + (0 if is_private else 4 * outputs)
    closed, opened = (
        swr.summary(swr.TaskModel(base, chosen, batch_norm=mode)).flash_bytes
        for chosen in ([], ["changed"])
    )
    assert opened - closed == unit.flash_bytes


def chain(*between, uses=1):
    x = inputs = keras.Input((5, 5, 3))
    for layer in (layers.Conv2D(4, 1, name="conv"), *between):
        x = layer(x)
    y = layers.BatchNormalization(name="norm")(x)
    for _ in range(uses - 1):
        y = layers.Add()([y, x])
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def test_norm_goes_with_a_layer_that_a_device_folds_it_into():
    assert folded_norms(chain()) == {"norm": "conv"}
    assert folded_norms(chain(layers.Dropout(0.1))) == {}
    assert folded_norms(chain(layers.ReLU())) == {}
    assert folded_norms(chain(uses=2)) == {}
    units = policy_units(chain(layers.ReLU()), batch_norm="owned")
    assert list(units) == ["conv", "norm"]
    assert layers_of(policy_units(chain(), batch_norm="owned"), ["conv"]) == {"conv", "norm"}


def test_a_layer_with_an_activation_keeps_its_norm_apart():
    x = inputs = keras.Input((5, 5, 3))
    x = layers.Conv2D(4, 1, activation="relu", name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    assert folded_norms(model) == {}
