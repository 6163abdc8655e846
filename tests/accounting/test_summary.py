"""Tests of `swr_keras.accounting.summary`."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.accounting import summary
from swr_keras.policy.policy import Policy


def rows_by_path(model, **options):
    return {row.path: row for row in summary(model, **options).rows}


def model_of(layer, *shape):
    return keras.Sequential([keras.Input(shape), layer])


@pytest.mark.parametrize(
    ("layer", "shape", "multiplies"),
    [
        (layers.Dense(7), (3,), 3 * 7),
        (layers.Dense(7), (4, 3), 4 * 3 * 7),
        (layers.Conv1D(5, 3), (10, 2), 8 * 3 * 2 * 5),
        (layers.Conv2D(5, (3, 2), strides=2, padding="same"), (9, 8, 4), 5 * 4 * 6 * 4 * 5),
        (layers.Conv2D(6, 3, groups=2), (5, 5, 4), 9 * 9 * (4 // 2) * 6),
        (layers.Conv2D(6, 3, dilation_rate=2), (9, 9, 4), 25 * 9 * 4 * 6),
        (layers.Conv3D(2, 2), (3, 3, 3, 5), 8 * 8 * 5 * 2),
        (layers.DepthwiseConv1D(3, depth_multiplier=2), (6, 4), 4 * 3 * 4 * 2),
        (layers.DepthwiseConv2D(3), (6, 6, 4), 16 * 9 * 4),
        (layers.SeparableConv1D(5, 3), (6, 4), 4 * (3 * 4 + 4 * 5)),
        (layers.SeparableConv2D(5, 3, depth_multiplier=2), (6, 6, 4), 16 * (9 * 8 + 8 * 5)),
        (layers.Conv1DTranspose(5, 4, strides=2), (6, 3), 6 * 4 * 3 * 5),
        (layers.Conv2DTranspose(5, 2, strides=2), (3, 4, 6), 12 * 4 * 6 * 5),
    ],
)
def test_multiplies_of_each_kind_of_layer(layer, shape, multiplies):
    plain = summary(model_of(layer, *shape))
    assert plain.multiplies == multiplies
    assert plain.uncounted == ()
    assert summary(swr.reparametrize(model_of(layer, *shape))).multiplies == multiplies


@pytest.mark.parametrize(
    ("tau", "convolutions", "head", "dropped"),
    [(1, 2_481_772, 384, 60_600), (8, 85_916_256, 3_072, 484_800)],
)
def test_multiplies_of_bcresnet(tau, convolutions, head, dropped):
    found = summary(swr.backbones.bcresnet(tau))
    assert found.multiplies == convolutions + head
    assert found.rows[-1].path == "head"
    assert found.rows[-1].multiplies == head
    assert found.dropped_multiplies == dropped


@pytest.mark.parametrize(("frames", "positions"), [(101, 4_040), (225, 9_000)])
def test_multiplies_of_res15(frames, positions):
    found = summary(swr.backbones.res15(input_shape=(frames, 40, 1)))
    assert found.multiplies == (405 + 236_925) * positions + 45 * 12
    assert (found.dropped_multiplies, found.uncounted) == (0, ())
    assert frames != 101 or round(found.multiplies / 1e6, 1) == 958.8


def test_parameters_of_bcresnet_are_the_published_ones():
    base = swr.backbones.bcresnet(1)
    for model in (base, swr.SuperNet(base)):
        found = summary(model)
        assert (found.parameters, found.statistics) == (9_232, 2_416)
    assert base.count_params() == 9_232 + 2_416


def test_strided_pooling_of_window_one_drops_outputs():
    inputs = keras.Input((8, 8, 2))
    convolved = layers.Conv2D(3, 1, name="conv")(inputs)
    dropped = layers.MaxPooling2D(1, 2)(convolved)
    row = rows_by_path(keras.Model(inputs, dropped))["conv"]
    assert (row.multiplies, row.dropped_multiplies) == (16 * 6, 48 * 6)
    for outputs in ([dropped, convolved], layers.MaxPooling2D(2, 2)(convolved)):
        row = rows_by_path(keras.Model(inputs, outputs))["conv"]
        assert (row.multiplies, row.dropped_multiplies) == (64 * 6, 0)


def test_open_sizes_need_an_input_shape():
    model = swr.backbones.bcresnet(1, input_shape=(None, 40, 1))
    with pytest.raises(ValueError, match=r"\(None, 40, 1\).*input_shape=\(101, 40, 1\)"):
        summary(model)
    assert summary(model, input_shape=(101, 40, 1)).multiplies == 2_482_156
    assert summary(model, input_shape=[[50, 40, 1]]).multiplies < 2_482_156
    for unfit in [(101, 41, 1), (101, 40), [(101, 40, 1)] * 2]:
        with pytest.raises(ValueError, match="must fit the inputs"):
            summary(model, input_shape=unfit)


def test_subclassed_and_unbuilt_models_are_refused(base):
    for model in (keras.Sequential([layers.Dense(2)]), swr.PolicySearch(swr.SuperNet(base))):
        with pytest.raises(ValueError, match=type(model).__name__):
            summary(model)


def test_model_is_not_changed(base):
    task = swr.SuperNet(base)
    before = [weight.copy() for weight in task.get_weights()]
    connections = str(base.get_config())
    summary(base)
    summary(task)
    assert str(base.get_config()) == connections
    for old, new in zip(before, task.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_plain_model_owns_nothing_of_its_own(base):
    found = summary(base)
    assert found.owned_bytes is None
    assert {row.gate for row in found.rows} == {None}
    assert found.parameters + found.statistics == base.count_params()


def task_of(base, selected, batch_norm):
    supernet = swr.SuperNet(base)
    paths = list(supernet.units)
    sizes = [unit.parameters for unit in supernet.units.values()]
    policy = Policy(
        layers=tuple(paths),
        sizes=tuple(sizes),
        probabilities=tuple(0.5 for _ in paths),
        selected=tuple(path in selected for path in paths),
        target_cost=0.5,
        reading="threshold",
    )
    return swr.TaskModel(base, policy, num_classes=3, batch_norm=batch_norm)


@pytest.mark.parametrize("batch_norm", ["statistics", "affine", "shift", "frozen"])
def test_owned_bytes_are_those_of_the_pack(base, batch_norm):
    task = task_of(base, {"depthwise"}, batch_norm)
    found = summary(task)
    assert found.owned_bytes == task.pack().num_bytes
    assert summary(task.model).owned_bytes == task.pack().num_bytes
    rows = {row.path: row for row in found.rows}
    assert (rows["depthwise"].gate, rows["pointwise"].gate, rows["head"].gate) == (
        True,
        False,
        None,
    )
    assert rows["depthwise"].owned_bytes == 4 * (9 * 6 + 6)
    assert rows["pointwise"].owned_bytes == 0
    assert rows["head"].owned_bytes == 4 * (8 * 3 + 3)
    owned_of_norm = {"statistics": 48, "affine": 96, "shift": 72, "frozen": 0}
    assert rows["norm"].owned_bytes == owned_of_norm[batch_norm]


def test_supernet_owns_every_layer(base):
    found = summary(swr.SuperNet(base, batch_norm="frozen"))
    assert found.owned_bytes == 4 * (base.count_params() - 2 * 6 - 2 * 6)


def test_nested_and_shared_layers():
    dense = layers.Dense(4, name="dense")
    inner_inputs = keras.Input((4,))
    inner = keras.Model(inner_inputs, dense(dense(inner_inputs)), name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(inner(inner(inputs)) + 1.0))
    for candidate in (model, swr.reparametrize(model)):
        rows = rows_by_path(candidate)
        assert rows["inner/dense"].multiplies == 4 * 16
        assert rows["inner/dense"].parameters == 20
        assert rows["head"].multiplies == 8


def test_several_inputs():
    a, b = keras.Input((None, 4), name="a"), keras.Input((3,), name="b")
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(layers.Dense(5)(a)), b])
    model = keras.Model({"b": b, "a": a}, layers.Dense(2, name="head")(x))
    shapes = [(6, 4) if len(tensor.shape) == 3 else (3,) for tensor in model.inputs]
    assert summary(model, input_shape=shapes).multiplies == 6 * 20 + 8 * 2


def test_layers_the_rule_is_silent_about_are_named():
    model = keras.Sequential([keras.Input((5, 3)), layers.GRU(4, name="gru"), layers.Dense(2)])
    found = summary(model)
    assert found.uncounted == ("gru",)
    assert found.multiplies == 8
    assert "not counted (?): gru" in str(found)


def test_json_has_rows_and_totals(base):
    found = summary(task_of(base, {"conv"}, "statistics"))
    read = json.loads(found.to_json())
    assert read == found.as_dict()
    for total in ("parameters", "statistics", "owned_bytes", "multiplies", "dropped_multiplies"):
        assert read[total] == getattr(found, total) == sum(row[total] for row in read["layers"])
    conv = next(row for row in read["layers"] if row["path"] == "conv")
    assert conv["output_shape"] == [8, 6, 6]
    assert conv["gate"] is True


def test_table_has_one_line_a_layer_with_weights(base):
    text = str(summary(task_of(base, {"conv"}, "statistics")))
    lines = {line.split()[0]: line.split() for line in text.splitlines()}
    assert {"conv", "norm", "depthwise", "pointwise", "head", "total"} <= set(lines)
    assert lines["conv"][-4:] == ["open", "216", "78", "2,592"]
    assert "closed" in lines["pointwise"]
    assert "re_lu" not in text
