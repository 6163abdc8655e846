"""Bases that Keras users have are adapted, merged and packed."""

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.tasks.pack import fingerprint

VECTOR, IMAGE, SEQUENCE = (6,), (8, 8, 1), (5, 4)


def functional(shape, body):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(3, name="head")(body(inputs)))


def built_late():
    model = keras.Sequential([layers.Dense(5), layers.Dense(3)])
    model.build((None, *VECTOR))
    return model


def called():
    model = keras.Sequential([layers.Dense(5), layers.Dense(3)])
    model(np.zeros((1, *VECTOR)))
    return model


def nested():
    backbone = keras.Sequential(
        [keras.Input(IMAGE), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
    )
    return functional(
        IMAGE,
        lambda x: layers.GlobalAveragePooling2D()(
            backbone(layers.RandomFlip()(layers.Rescaling(0.5)(x)), training=False)
        ),
    )


def siamese():
    first, second = keras.Input(VECTOR, name="first"), keras.Input(VECTOR, name="second")
    shared = layers.Dense(5, name="shared")
    return keras.Model([first, second], layers.Dense(3)(abs(shared(first) - shared(second))))


def attention(x):
    x = layers.Dense(8, name="in")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    return layers.GlobalAveragePooling1D()(x)


class Functional(keras.Model):
    """A subclass that is built as a functional model."""


def subclass():
    inputs = keras.Input(VECTOR)
    return Functional(inputs, layers.Dense(3)(layers.Dense(5)(inputs)))


@keras.saving.register_keras_serializable(package="tests")
class Block(layers.Layer):
    """A dense layer in a layer of one's own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(5, activation="relu")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)


BASES = {
    "Sequential with an input": lambda: keras.Sequential(
        [keras.Input(VECTOR), layers.Dense(5), layers.Dense(3)]
    ),
    "Sequential built late": built_late,
    "Sequential that was called": called,
    "nested backbone with augmentation": nested,
    "LSTM beside dense": lambda: functional(
        SEQUENCE, lambda x: layers.LSTM(4)(layers.Dense(6, name="dense")(x))
    ),
    "attention": lambda: functional(SEQUENCE, attention),
    "separable": lambda: functional(
        IMAGE, lambda x: layers.GlobalMaxPooling2D()(layers.SeparableConv2D(4, 3)(x))
    ),
    "siamese": siamese,
    "functional subclass": subclass,
    "block of one's own": lambda: functional(
        VECTOR, lambda x: layers.Dense(5, name="dense")(Block()(x))
    ),
    "activation of one's own": lambda: functional(
        VECTOR, layers.Dense(5, activation=lambda x: x * keras.ops.sigmoid(x))
    ),
    "discretization": lambda: functional(
        VECTOR,
        lambda x: layers.Dense(5, name="dense")(
            layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode="multi_hot")(x)
        ),
    ),
}


@pytest.mark.parametrize("kind", BASES)
def test_it_is_adapted_merged_and_packed(kind, tmp_path):
    keras.utils.set_random_seed(0)
    base, rng = BASES[kind](), np.random.default_rng(0)
    inputs = [rng.normal(size=(16, *t.shape[1:])).astype("float32") for t in base.inputs]
    x = inputs if len(inputs) > 1 else inputs[0]
    before = fingerprint(base)
    task = swr.TaskModel(base, list(swr.SuperNet(base).units), num_classes=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    task.compile(keras.optimizers.Adam(1e-2), loss)
    task.fit(x, np.arange(16) % 2, epochs=2, verbose=0)
    merged = task.merge(check_on=x)
    assert not [layer for layer in merged.layers if type(layer).__name__.startswith("SWR")]
    task.pack().save(tmp_path / "pack")
    again = swr.TaskPack.load(tmp_path / "pack").on(base)
    np.testing.assert_array_equal(again.predict(x, verbose=0), task.predict(x, verbose=0))
    assert fingerprint(base) == before


def test_a_fingerprint_tells_vocabularies_apart():
    def base(words):
        inputs = keras.Input((1,), dtype="string")
        x = layers.StringLookup(vocabulary=words, output_mode="multi_hot")(inputs)
        return keras.Model(inputs, layers.Dense(2, kernel_initializer="ones")(x))

    assert fingerprint(base(["a", "b"])) == fingerprint(base(["a", "b"]))
    assert fingerprint(base(["a", "b"])) != fingerprint(base(["b", "a"]))
