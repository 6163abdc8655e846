"""Layers in small models: what converts computes rightly, what doesn't is named."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from swr_keras.export import ExportError, LiteModel, convert_int8


def model_with(middle):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = middle(layers.Conv2D(4, 3, padding="same", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def examples():
    return np.random.default_rng(0).normal(size=(48, 8, 8, 2)).astype("float32")


def squeeze_and_excite(x):
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(4, 1, activation="silu")(weights)
    return layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(weights)])


CONVERTED = {
    "squeeze and excite": (squeeze_and_excite, 25),
    "transposed": (lambda x: layers.Conv2DTranspose(4, 3, activation="relu")(x), 24),
    "grouped": (lambda x: layers.Conv2D(4, 3, groups=2, activation="relu")(x), 20),
    "batch norm of a vector": (
        lambda x: layers.BatchNormalization()(layers.Dense(8, "relu")(layers.Flatten()(x))),
        25,
    ),
    "up-sampling": (layers.UpSampling2D(), 30),
    "bilinear up-sampling": (layers.UpSampling2D(interpolation="bilinear"), 25),
    "crop": (layers.CenterCrop(4, 4), 25),
    "resizing": (layers.Resizing(4, 4), 20),
    "random flip": (layers.RandomFlip(), 30),
    "random rotation": (layers.RandomRotation(0.2), 30),
    "maximum": (lambda x: ops.maximum(x, 0.5 * x), 25),
    "absolute": (ops.abs, 25),
    "leaky": (layers.LeakyReLU(), 30),
    "square": (layers.Lambda(lambda t: t * t), 15),
    "unrolled": (lambda x: layers.SimpleRNN(4, unroll=True)(layers.Reshape((4, -1))(x)), 25),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_it_converts_and_computes_as_the_float_model(name, examples):
    middle, least_db = CONVERTED[name]
    model = model_with(middle)
    int8 = convert_int8(model, examples)
    expected = model.predict(examples, verbose=0)
    found = LiteModel(int8, engine="tflm").predict(examples)
    noise = np.mean((found - expected) ** 2)
    assert 10 * np.log10(np.var(expected) / noise) > least_db
    assert int8.verification.max_lsb <= 1


REFUSED = {
    "layer norm": (layers.LayerNormalization(name="wrong"), "'wrong', a Layer.*BatchNorm"),
    "group norm": (layers.GroupNormalization(2, name="wrong"), "'wrong', a Group.*BatchNorm"),
    "unit norm": (layers.UnitNormalization(name="wrong"), "'wrong', a Unit.*BatchNorm"),
    "ELU": (layers.ELU(name="wrong"), "'wrong', a ELU.*use LeakyReLU"),
    "gelu": (layers.Activation("gelu", name="wrong"), "'wrong', a Activation.*operator GELU"),
    "repeated": (
        lambda x: layers.RepeatVector(3, name="wrong")(layers.Flatten()(x)),
        "'wrong', a RepeatVector.*TILE",
    ),
    "mish": (layers.Activation("mish", name="wrong"), "refuses the model: .*exp.cc.*EXP"),
    "square root": (lambda x: ops.sqrt(ops.abs(x) + 1.0), "can't compute the model.*SQRT"),
    "loop": (lambda x: layers.GRU(4, name="wrong")(layers.Reshape((4, -1))(x)), "'wrong'.*unroll"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_with_what_helps(name, examples):
    middle, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        convert_int8(model_with(middle), examples)


def test_training_mode_that_somebody_asked_for_is_refused(examples):
    model = model_with(lambda x: layers.Dropout(0.5, name="wrong")(x, training=True))
    with pytest.raises(ValueError, match="'wrong' is called with training=True"):
        convert_int8(model, examples)


def test_errors_of_exports_are_value_errors():
    assert issubclass(ExportError, ValueError)
