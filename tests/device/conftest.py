"""Tasks of one base that the tests of bundles share."""

import keras
import numpy as np
import pytest
from keras import layers

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.export import convert_int8

LABELS = {"english": ("no", "yes"), "mandarin": ("不", "是"), "french": ("non", "oui")}
ROOM = 64 * 1024


def examples(seed=0):
    return np.random.default_rng(seed).normal(size=(16, 12, 10, 1)).astype("float32")


def network(task):
    """Tasks that share all kernels but those of the last convolution and the head."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 10, 1))
    x = inputs
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(6, 1, name="own")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    random = np.random.default_rng(list(LABELS).index(task))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
        elif layer.name in ("own", "head"):
            layer.set_weights([random.normal(size=each.shape) for each in layer.get_weights()])
    for _ in range(200):
        model(examples(), training=True)
    return model


@pytest.fixture(scope="session")
def int8():
    """The models of three tasks."""
    return {name: convert_int8(network(name), examples()) for name in LABELS}


@pytest.fixture(scope="session")
def tasks(int8):
    return {name: DeviceTask(int8[name], LABELS[name]) for name in LABELS}


@pytest.fixture
def first(tasks):
    """Two tasks, with room for more."""
    return Bundle.build(
        {name: tasks[name] for name in ("english", "mandarin")}, image_bytes=ROOM, slot_bytes=512
    )


@pytest.fixture(scope="session")
def micro_features():
    """Computes the features `(frames, 40)` that a device should give of int16 audio."""
    package = pytest.importorskip(
        "pymicro_features", reason="needs the extra swr-keras[microfrontend]"
    )

    def compute(pcm):
        frontend, data, frames = package.MicroFrontend(), pcm.tobytes(), []
        for start in range(0, len(data) - 319, 320):
            frame = frontend.process_samples(data[start : start + 320]).features
            if frame:
                frames.append(frame)
        return np.array(np.array(frames) * 25.6, "uint16").reshape(-1, 40)

    return compute
