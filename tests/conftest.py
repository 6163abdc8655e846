import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers


def build_base(num_classes=4, seed=0):
    """A small convolutional classifier with batch norm and dropout."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((10, 8, 1))
    x = layers.Conv2D(6, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Conv2D(8, 1, activation="relu", name="pointwise")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(num_classes, name="head")(x), name="base")


def build_blocked_base(num_classes=4, seed=0):
    """A small residual network of two named blocks, the first one of which is a transition."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((10, 8, 1))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.Conv2D(8, 1, (1, 2), use_bias=False, name="block0_expand")(x)
    x = layers.BatchNormalization(momentum=0.9, name="block0_norm")(x)
    x = shortcut = layers.ReLU(name="block0_relu")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="block1_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="block1_norm")(x)
    x = layers.Dropout(0.1, name="block1_dropout")(x)
    x = layers.Add(name="block1_add")([x, shortcut])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(num_classes, name="head")(x), name="blocked")


@pytest.fixture(scope="session")
def blocked_base():
    """Makes bases with blocks, for the data of `arrays`."""
    return build_blocked_base


@pytest.fixture
def base():
    return build_base()


@pytest.fixture(scope="session")
def small_base():
    """Makes bases as `base`."""
    return build_base


@pytest.fixture(scope="session")
def arrays():
    """96 examples of 3 classes that differ in where they are bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 3
    x = rng.normal(size=(96, 10, 8, 1)).astype("float32")
    for index, label in enumerate(labels):
        x[index, 3 * label : 3 * label + 3] += 1.5
    return x, labels


@pytest.fixture
def dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(32)


@pytest.fixture(scope="session")
def toy_model():
    """A network from (8, 8, 2) to 3 logits."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ],
        name="toy",
    )


@pytest.fixture(scope="session")
def toy_examples():
    return np.random.default_rng(3).normal(size=(40, 8, 8, 2)).astype("float32")


@pytest.fixture(scope="session")
def toy_int8(toy_model, toy_examples):
    """The same network as int8."""
    from swr_keras.export import convert_int8

    return convert_int8(toy_model, toy_examples).data


@pytest.fixture
def recordings():
    """Folder of real recordings, `english/` and `mandarin/` in Speech Commands layout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "spoken_words"
    folder = Path(os.environ.get("SWR_KERAS_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}; set SWR_KERAS_TEST_DATA")
    return folder
