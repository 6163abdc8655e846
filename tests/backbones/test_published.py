import importlib

import keras
import numpy as np
import pytest

from swr_keras.backbones import IMAGENET, PUBLISHED, normalization_of, published
from swr_keras.images import NORMALIZATIONS

# The package has a function of the module's name.
module = importlib.import_module("swr_keras.backbones.published")


@pytest.fixture
def fetched(monkeypatch):
    """Stands in for the network that Keras fetches weights for; whatever it was asked for."""
    asked = []

    def application(*, input_shape=(224, 224, 3), weights, classifier_activation):
        asked.append(weights)
        keras.utils.set_random_seed(len(asked))
        layers = [
            keras.layers.Conv2D(4, 3, strides=8),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1000, activation=classifier_activation),
        ]
        return keras.Sequential([keras.Input(input_shape), *layers])

    monkeypatch.setitem(module._APPLICATIONS, "mobilenet_v2", application)
    return asked


@pytest.mark.parametrize("shape", [(224, 224, 3), (96, 64, 3)])
def test_keras_network_has_the_fetched_weights_at_any_size(shape, fetched):
    network = published("mobilenet_v2", IMAGENET, input_shape=shape)
    assert network.input_shape == (None, *shape)
    assert fetched[0] == IMAGENET
    keras.utils.set_random_seed(1)
    expected = keras.layers.Conv2D(4, 3)
    expected.build((None, None, None, 3))
    np.testing.assert_array_equal(network.layers[0].kernel, expected.kernel)


def test_weights_that_cant_be_fetched_say_what_to_do(monkeypatch):
    def application(**options):
        raise Exception("URL fetch failure on https://somewhere")

    monkeypatch.setitem(module._APPLICATIONS, "resnet50", application)
    with pytest.raises(OSError, match="can't fetch the weights of 'resnet50' .*torchvision"):
        published("resnet50", IMAGENET)


def test_unknown_networks_and_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="published for mobilenet_v2, resnet50. Received: .*vgg"):
        published("vgg", IMAGENET)
    with pytest.raises(FileNotFoundError, match=r"no\.pth"):
        published("mobilenet_v2", tmp_path / "no.pth", input_shape=(32, 32, 3))


@pytest.mark.parametrize("name", PUBLISHED)
def test_pixels_become_numbers_as_the_weights_expect(name):
    assert normalization_of(name, "file.pth") == "torch"
    assert normalization_of(name, IMAGENET) in NORMALIZATIONS
    assert normalization_of(name, IMAGENET) != "torch"
