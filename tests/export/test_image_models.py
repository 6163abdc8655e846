"""Merged models of images pass the gate of the int8 export."""

import keras
import numpy as np
import pytest

import swr_keras as swr
from swr_keras.backbones import mobilenet_v2, resnet
from swr_keras.export import LiteModel, convert_int8

SHAPE = (32, 32, 3)
BASES = {
    "small resnet": lambda: resnet(8, 8, num_classes=4, input_shape=SHAPE),
    "mobilenet_v2": lambda: mobilenet_v2(0.25, num_classes=4, input_shape=SHAPE),
}


@pytest.fixture(scope="module")
def images():
    """Blobs of different colours, so that outputs differ."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32)), -1)
    found = rng.normal(0, 0.3, (64, *SHAPE))
    for image in found:
        distance = ((grid - rng.uniform(0.2, 0.8, 2)) ** 2).sum(-1, keepdims=True)
        image += np.exp(-distance / rng.uniform(0.01, 0.1)) * rng.normal(0, 2, 3)
    return found.astype("float32")


@pytest.mark.parametrize("name", BASES)
def test_a_merged_task_converts_and_computes_as_the_float_model(name, images):
    keras.utils.set_random_seed(0)
    base = BASES[name]()
    for _ in range(20):
        base(images, training=True)
    units = list(swr.SuperNet(base, num_classes=3).units)
    task = swr.TaskModel(base, units[::2], num_classes=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    task.compile(keras.optimizers.SGD(1e-2), loss)
    task.fit(images, np.arange(64) % 3, epochs=2, batch_size=32, verbose=0)
    merged = task.merge(check_on=images)
    int8 = convert_int8(merged, images)
    assert int8.verification.max_lsb <= 1
    expected = merged.predict(images, verbose=0)
    found = LiteModel(int8, engine="tflm").predict(images)
    noise = np.mean((found - expected) ** 2)
    assert 10 * np.log10(np.var(expected) / noise) > 15
