import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import swr_keras as swr
from swr_keras.graph import copy_model


def three_classes(inputs, x):
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Dense(4, name="hidden")(x)))


def text_vectorization(**kwargs):
    layer = layers.TextVectorization(**kwargs)
    layer.adapt(WORDS)
    return layer


def adapted_lookup(kind, values):
    layer = kind(output_mode="multi_hot")
    layer.adapt(values)
    return layer


WORDS = np.array(["up", "down", "up", "left"])
LOOKUPS = {
    "text": (lambda: text_vectorization(output_mode="int", output_sequence_length=2), "string"),
    "text_multi_hot": (lambda: text_vectorization(output_mode="multi_hot"), "string"),
    "text_tf_idf": (lambda: text_vectorization(output_mode="tf_idf"), "string"),
    "string": (lambda: adapted_lookup(layers.StringLookup, WORDS), "string"),
    "given": (lambda: layers.StringLookup(vocabulary=["up"], output_mode="multi_hot"), "string"),
    "integer": (lambda: adapted_lookup(layers.IntegerLookup, np.array([5, 7, 5])), "int64"),
    "hashing": (lambda: layers.Hashing(4, output_mode="multi_hot"), "string"),
}


@pytest.mark.parametrize("kind", LOOKUPS)
def test_lookup_tables_are_copied(kind):
    build, dtype = LOOKUPS[kind]
    inputs = keras.Input((1,), dtype=dtype)
    x = build()(inputs)
    base = three_classes(inputs, layers.Rescaling(1.0)(x))
    values = [["up"], ["down"], ["unseen"]] if dtype == "string" else [[5], [7], [9]]
    x = tf.constant(values, dtype)
    for model in (copy_model(base), swr.merge(swr.reparametrize(base), check_on=x)):
        np.testing.assert_array_equal(model(x), base(x))


def functions_of(x):
    return {
        "lambda": lambda: layers.Lambda(lambda t: 2.0 * t)(x),
        "activation": lambda: layers.Dense(4, activation=lambda t: keras.ops.tanh(t) + 1.0)(x),
        "activation_layer": lambda: layers.Activation(lambda t: t * t)(x),
        "initializer": lambda: layers.Dense(
            4, kernel_initializer=lambda shape, dtype=None: keras.ops.ones(shape, dtype)
        )(x),
        "recurrent": lambda: layers.LSTM(4, activation=lambda t: keras.ops.tanh(t) / 2)(
            layers.Reshape((2, 2))(x)
        ),
        "wrapped": lambda: layers.Flatten()(
            layers.TimeDistributed(layers.Lambda(lambda t: t + 1.0))(layers.Reshape((2, 2))(x))
        ),
    }


@pytest.mark.parametrize("kind", functions_of(None))
def test_functions_are_carried_into_copies(kind):
    inputs = keras.Input((4,))
    base = three_classes(inputs, functions_of(inputs)[kind]())
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    merged = swr.merge(swr.reparametrize(base), check_on=x)
    for model in (copy_model(base), merged, swr.merge(swr.reparametrize(merged))):
        np.testing.assert_allclose(model(x), base(x), rtol=1e-6)


def test_a_softmax_given_as_a_lambda_reaches_a_new_head():
    softmax = layers.Dense(3, activation=lambda t: keras.ops.softmax(t))
    base = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense"), softmax])
    merged = swr.TaskModel(base, ["dense"], num_classes=5).merge()
    np.testing.assert_allclose(np.sum(merged(np.ones((2, 4))), axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("nested", [False, True])
def test_augmentation_in_a_base_is_off_at_inference(nested):
    augmentation = [layers.RandomFlip(), layers.RandomRotation(0.4), layers.RandomContrast(0.5)]
    inputs = keras.Input((8, 8, 3))
    if nested:
        x = keras.Sequential(augmentation)(inputs)
    else:
        x = inputs
        for layer in augmentation:
            x = layer(x)
    x = layers.CenterCrop(6, 6)(layers.Resizing(7, 7)(layers.Rescaling(0.5)(x)))
    base = three_classes(inputs, layers.Flatten()(layers.Conv2D(2, 3)(x)))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    merged = swr.merge(swr.reparametrize(base), check_on=x)
    np.testing.assert_allclose(merged(x, training=False), base(x, training=False), rtol=1e-5)
    task = swr.SuperNet(base)
    task.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    task.fit(x, np.arange(3), verbose=0)


def test_operations_that_keras_cannot_serialize_are_shared():
    inputs = keras.Input((2,))
    x = keras.ops.clip(layers.Dense(2)(inputs), -1.0, np.float32([0.1, 0.2]))
    base = keras.Model(inputs, layers.Dense(3)(x))
    np.testing.assert_array_equal(swr.reparametrize(base)(np.ones((2, 2))), base(np.ones((2, 2))))
