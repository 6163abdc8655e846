"""Networks of `keras.applications` compute on our images what they do on Keras'."""

import keras
import numpy as np
import pytest

from swr_keras.backbones import PUBLISHED
from swr_keras.layers.head import find_head

SHAPE = (32, 32, 3)
MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
KERAS = {
    "keras-mobilenet_v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2),
    "keras-resnet50": (keras.applications.ResNet50, keras.applications.resnet50),
}


@pytest.fixture(
    scope="module",
    params=["keras-mobilenet_v2", pytest.param("keras-resnet50", marks=pytest.mark.slow)],
)
def network(request, tmp_path_factory):
    """Its name, Keras' own with random weights and statistics, and a file of these."""
    keras.utils.set_random_seed(0)
    build, preprocessing = KERAS[request.param]
    own = build(weights=None, input_shape=SHAPE, classifier_activation=None)
    for layer in own.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([np.random.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    path = tmp_path_factory.mktemp("keras") / "network.weights.h5"
    own.save_weights(path)
    return request.param, own, preprocessing, path


def test_same_outputs_on_images_normalised_otherwise(network):
    name, own, preprocessing, path = network
    model = PUBLISHED[name](input_shape=SHAPE, weights=path)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    expected = own(preprocessing.preprocess_input(images.copy())).numpy()
    found = model(((images / 255 - MEAN) / STD).astype("float32")).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_a_new_head_and_short_trainings(network):
    name, *_ = network
    model = PUBLISHED[name](num_classes=3, input_shape=SHAPE)
    assert model.output_shape == (None, 3) and find_head(model) == "head"
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms and all(norm.momentum == 0.9 for norm in norms)


@pytest.mark.parametrize("size", [32, 96, 224])
def test_fetched_weights_fit_images_of_any_size(size, network, monkeypatch):
    name, own, preprocessing, path = network
    build = KERAS[name][0]
    sizes = (96, 128, 160, 192, 224) if name == "keras-mobilenet_v2" else (224,)
    fetched = []

    def fetching(*, weights=None, input_shape=None, **more):
        """Keras' builder, which takes a file in the place of a download."""
        if weights == "imagenet":
            if more.get("include_top", True) and input_shape[0] not in sizes:
                raise ValueError("`input_shape` should be (224, 224, 3)")  # As Keras has it.
            fetched.append(input_shape[0])
            weights = path
        return build(weights=weights, input_shape=input_shape, **more)

    monkeypatch.setattr(keras.applications, build.__name__, fetching)
    model = PUBLISHED[name](input_shape=(size, size, 3), weights="imagenet")
    assert fetched == [size if size in sizes else 224]
    assert model.input_shape == (None, size, size, 3)
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    if size == SHAPE[0]:
        expected = own(preprocessing.preprocess_input(images.copy())).numpy()
        found = model(((images / 255 - MEAN) / STD).astype("float32")).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    else:
        heads = [each.layers[-1].get_weights() for each in (model, own)]
        np.testing.assert_array_equal(heads[0][0], heads[1][0])
