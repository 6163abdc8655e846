"""What the float model detects, int8 detects, however rare it is."""

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.export import LiteModel, convert_int8


def dense(activation, units=1):
    return [layers.Dense(16, activation="relu"), layers.Dense(units, activation=activation)]


def convolutional(activation):
    return [
        layers.Reshape((16, 1)),
        layers.Conv1D(8, 3, activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(1, activation=activation),
    ]


def rare(share, classes=2, count=1200, seed=0):
    """Noise, in which the last class shifts four values; the others share the rest."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, count) if classes > 2 else np.zeros(count, int)
    x = rng.normal(size=(count, 16)).astype("float32")
    for label in range(1, classes - 1):
        x[labels == label, 4 + label] += 3.0
    labels[rng.random(count) < share] = classes - 1
    x[labels == classes - 1, :4] += 3.0
    return x, labels


def trained(body, loss, x, y):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16,)), *body])
    model.compile(keras.optimizers.Adam(2e-2), loss)
    model.fit(x, y, epochs=12, batch_size=64, verbose=0)
    return model


BINARY = {
    "sigmoid": (lambda: dense("sigmoid"), keras.losses.BinaryCrossentropy()),
    "logit": (lambda: dense(None), keras.losses.BinaryCrossentropy(from_logits=True)),
    "convolutional": (lambda: convolutional("sigmoid"), keras.losses.BinaryCrossentropy()),
}


@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("kind", BINARY)
def test_rare_ones_are_found_as_in_float(kind, share):
    body, loss = BINARY[kind]
    x, y = rare(share)
    model = trained(body(), loss, x, y)
    limit = 0.0 if kind == "logit" else 0.5
    found = model.predict(x, verbose=0)[:, 0] > limit
    int8 = convert_int8(model, x[:300])
    scores = LiteModel(int8).evaluate(x, y)
    assert scores["recall"] >= np.mean(found[y == 1]) - 0.03
    assert scores["accuracy"] >= np.mean(found == y) - 0.01
    assert int8.calibration.agreement > 0.97


def test_a_rare_class_of_several_is_found_as_in_float():
    x, y = rare(0.04, classes=4)
    model = trained(dense("softmax", units=4), "sparse_categorical_crossentropy", x, y)
    expected = model.predict(x, verbose=0).argmax(axis=1)
    found = LiteModel(convert_int8(model, x[:300])).predict(x).argmax(axis=1)
    for label in range(4):
        assert np.mean(found[expected == label] == label) > 0.95


def test_rare_large_values_of_a_regression_are_kept():
    x, y = rare(0.05)
    targets = np.where(y == 1, 20.0, x[:, 8])
    model = trained(dense(None), "mean_squared_error", x, targets)
    expected = model.predict(x, verbose=0)[:, 0]
    found = LiteModel(convert_int8(model, x[:300])).predict(x)[:, 0]
    large = expected > 10
    assert large.any()
    assert np.mean(np.abs(found - expected)[large]) < 1.5


def test_a_dead_detector_has_no_recall():
    x, y = rare(0.05)
    dead = keras.Sequential([keras.Input((16,)), *dense("sigmoid")])
    dead.layers[-1].set_weights([np.zeros((16, 1)), np.full(1, -3.0)])
    scores = LiteModel(convert_int8(dead, x[:100])).evaluate(x, y)
    assert scores["accuracy"] > 0.9
    assert scores["recall"] == 0.0
    assert np.isnan(scores["precision"])


def test_a_threshold_of_ones_own():
    x, y = rare(0.1)
    model = trained(dense("sigmoid"), "binary_crossentropy", x, y)
    lite = LiteModel(convert_int8(model, x[:200]))
    assert lite.evaluate(x, y, threshold=-1.0)["recall"] == 1.0
    assert lite.evaluate(x, y, threshold=2.0)["recall"] == 0.0
    with pytest.raises(ValueError, match="labels 0 and 1"):
        lite.evaluate(x, y + 1)
