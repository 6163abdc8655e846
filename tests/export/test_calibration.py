import keras
import numpy as np
from keras import layers

from swr_keras.export import LiteModel, convert_int8
from swr_keras.export.calibration import extremeness
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


def test_odd_examples_score_high_and_ordinary_ones_near_1():
    scores = extremeness(deploy_graph(small_model()), examples_with_an_odd_one())
    assert scores.shape == (40,)
    assert scores.argmax() == 17
    assert scores[17] > 50
    assert 0.7 < np.median(scores) < 3


def test_a_single_example_calibrates():
    model, x = small_model(), examples_with_an_odd_one()[:1]
    assert LiteModel(convert_int8(model, x)).predict(x).shape == (1, 4)


def test_one_odd_example_does_not_cost_the_others_their_precision():
    model, x = small_model(), examples_with_an_odd_one()
    expected = model.predict(np.delete(x, 17, axis=0), verbose=0)
    found = LiteModel(convert_int8(model, x)).predict(np.delete(x, 17, axis=0))
    noise = np.mean((found - expected) ** 2)
    assert 10 * np.log10(np.mean(expected**2) / noise) > 25


def test_long_tails_are_clipped_where_that_brings_outputs_nearer():
    """An activation that is huge for a third of the examples, and that outputs hardly depend on."""
    inputs = keras.Input((1, 1, 2))
    x = layers.Conv2D(2, 1, use_bias=False, name="scaled")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.get_layer("scaled").set_weights([np.eye(2, dtype="float32")[None, None]])
    model.layers[-1].set_weights([np.diag([1.0, 1e-4]).astype("float32"), np.zeros(2, "float32")])
    x = np.random.default_rng(0).normal(size=(60, 1, 1, 2)).astype("float32")
    x[::3, ..., 1] *= 300.0
    expected = model.predict(x, verbose=0)[:, 0]
    found = LiteModel(convert_int8(model, x)).predict(x)[:, 0]
    ordinary = np.arange(60) % 3 > 0
    assert np.median(np.abs(found - expected)[ordinary]) < 0.02
