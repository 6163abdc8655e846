import keras
import numpy as np
from keras import layers

from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.calibration import leave_out_extremes
from swr_keras.export.deploy import deploy_graph


def small_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def examples_with_an_odd_one():
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    x[17] *= 100.0
    return x


def test_the_most_extreme_tenth_is_left_out_and_the_order_kept():
    x = examples_with_an_odd_one()
    kept = leave_out_extremes(deploy_graph(small_model()), x)
    assert len(kept) == 36
    assert np.abs(kept).max() < 10
    rows = [int(np.flatnonzero((x == example).all(axis=(1, 2, 3)))[0]) for example in kept]
    assert rows == sorted(rows)


def test_a_single_example_is_kept():
    x = examples_with_an_odd_one()[:1]
    np.testing.assert_array_equal(leave_out_extremes(deploy_graph(small_model()), x), x)


def test_one_odd_example_does_not_cost_the_others_their_precision():
    model, x = small_model(), examples_with_an_odd_one()
    expected = model.predict(np.delete(x, 17, axis=0), verbose=0)
    found = LiteModel(convert_int8(model, x)).predict(np.delete(x, 17, axis=0))
    noise = np.mean((found - expected) ** 2)
    assert 10 * np.log10(np.mean(expected**2) / noise) > 25
