import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.export import LiteModel, convert_int8, int8
from swr_keras.export.clipping import clipped_models, least_squares_range, share_range
from swr_keras.export.flatbuffer import as_object, parse
from swr_keras.export.rescale import Scale, activation_scales

SCALES = [Scale(0.1, 0), Scale(0.1, -128), Scale(0.02, 127), Scale(3.0, -77)]


def counts(values, scale):
    q = np.clip(np.rint(values / scale.scale) + scale.zero_point, -128, 127).astype(int)
    return np.bincount(q + 128, minlength=256)


def squared_error(values, scale, low, high):
    step = (high - low) / 255
    return np.mean(np.square(np.rint(np.clip(values, low, high) / step) * step - values))


@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("tail", [2.0, 1.0, 0.3])
def test_ranges_of_least_squares_err_less_than_others(scale, tail):
    low, high = scale.range
    draws = np.random.default_rng(0).gamma(tail, size=(2, 20000))
    values = np.append(draws[0] * high / 16, draws[1] * low / 16).clip(low, high)
    best = least_squares_range(scale, counts(values, scale))
    assert low <= best[0] <= 0 <= best[1] <= high
    error = squared_error(values, scale, *best)
    for factor in (0.25, 0.5, 1.0):
        other = (factor * low, factor * high)
        assert error < 1.1 * squared_error(values, scale, *other)


@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.1])
def test_a_share_of_the_values_lies_beyond_at_each_end(scale, share):
    values = np.random.default_rng(0).uniform(*scale.range, 20000)
    low, high = share_range(scale, counts(values, scale), share)
    assert low <= 0 <= high
    tolerance = 2 / 256
    assert low == 0 or abs(np.mean(values < low) - share) < tolerance
    assert high == 0 or abs(np.mean(values > high) - share) < tolerance


@pytest.mark.parametrize("value", [0, 5, -128, 127])
def test_an_activation_of_one_value_keeps_it(value):
    scale = Scale(0.5, 0)
    found = np.zeros(256, int)
    found[value + 128] = 1000
    for low, high in (least_squares_range(scale, found), share_range(scale, found, 1e-3)):
        assert low <= scale.real(value) <= high


def test_narrower_ranges_compute_the_same_up_to_what_is_clipped(toy_model, toy_examples, toy_int8):
    expected = toy_model.predict(toy_examples, verbose=0)
    models = list(clipped_models(toy_int8, toy_examples))
    assert len(models) > 2
    before = activation_scales(as_object(toy_int8))
    for data in models:
        scales = activation_scales(as_object(data))
        assert all(scales[key].scale <= 1.001 * before[key].scale for key in before)
        found = LiteModel(parse(data)).predict(toy_examples)
        assert np.mean(np.square(found - expected)) < 0.05 * expected.var()


def test_rare_large_values_do_not_cost_the_others_their_precision(monkeypatch):
    """Every example has a value 200 times as large, on which outputs hardly depend."""
    inputs = keras.Input((64, 64, 2))
    x = layers.Conv2D(2, 1, use_bias=False, name="same")(inputs)
    x = layers.AveragePooling2D(16)(layers.Conv2D(1, 1, use_bias=False, name="first")(x))
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))
    model.get_layer("same").set_weights([np.eye(2, dtype="float32")[None, None]])
    model.get_layer("first").set_weights([np.float32([[[[1.0], [1e-3]]]])])
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 64, 64, 2)).astype("float32")
    x[:, 3, 7, 1] *= 200
    expected = model.predict(x, verbose=0)

    def error(model_int8):
        return np.mean(np.square(LiteModel(model_int8).predict(x) - expected))

    clipped = convert_int8(model, x)
    monkeypatch.setattr(int8, "clipped_models", lambda data, examples: iter(()))
    wide = convert_int8(model, x)
    before, after = (activation_scales(as_object(each.data)) for each in (wide, clipped))
    assert any(after[key].scale < 0.5 * before[key].scale for key in before)
    assert error(clipped) < 0.7 * error(wide)
