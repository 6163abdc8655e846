import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from swr_keras.export import convert_int8
from swr_keras.export.examples import calibration_array, warn_of_another_scale

SHAPE = (6, 2)


class Batches(keras.utils.PyDataset):
    """Two batches of features and labels."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.x[4 * index : 4 * index + 4], np.zeros(4)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(8, *SHAPE)).astype("float32")


def slices(x):
    return tf.data.Dataset.from_tensor_slices(x)


GIVEN = {
    "array": lambda x: x,
    "tensor": tf.constant,
    "list of examples": list,
    "generator": iter,
    "dataset of batches": lambda x: slices(x).batch(3),
    "dataset of examples": slices,
    "dataset of pairs": lambda x: slices((x, np.zeros(8))).batch(3),
    "PyDataset": Batches,
    "function of TFLite": lambda x: lambda: ([each[None]] for each in x),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_every_usual_form_is_taken(kind, x):
    np.testing.assert_array_equal(calibration_array(GIVEN[kind](x), SHAPE), x)


def test_features_and_labels_as_a_pair_are_refused(x):
    with pytest.raises(ValueError, match="features alone.*a tuple of 2"):
        calibration_array((x, np.zeros(8)), SHAPE)


def normalised(first, x):
    """A model that begins with a normalization, which knows how `x` spreads."""
    model = keras.Sequential([keras.Input(SHAPE), *first, layers.Flatten(), layers.Dense(3)])
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.adapt(x)
    for _ in range(60):
        model(x, training=True)
    return model


FIRST = {
    "adapted": lambda: [layers.Normalization()],
    "batch norm": lambda: [layers.BatchNormalization(momentum=0.8)],
    "behind a convolution": lambda: [layers.Conv1D(4, 3), layers.BatchNormalization(momentum=0.8)],
}


@pytest.mark.parametrize("first", FIRST)
def test_another_scale_is_pointed_out(first, x):
    model = normalised(FIRST[first](), x)
    for scale in (0.1, 10.0):
        with pytest.warns(UserWarning, match="times as far as what the model was trained on"):
            warn_of_another_scale(model, scale * x)


@pytest.mark.parametrize("first", FIRST)
def test_the_same_scale_is_not(first, x, recwarn):
    model = normalised(FIRST[first](), x)
    warn_of_another_scale(model, x)
    warn_of_another_scale(model, 1.5 * x)
    assert not recwarn.list


def test_nothing_is_known_without_a_normalization(x, recwarn):
    model = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3)])
    warn_of_another_scale(model, 100 * x)
    assert not recwarn.list


def test_a_conversion_warns(toy_model, toy_examples):
    model = keras.models.clone_model(toy_model)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.5
    for _ in range(20):
        model(toy_examples, training=True)
    with pytest.warns(UserWarning, match="times as far"):
        convert_int8(model, toy_examples / 20)
