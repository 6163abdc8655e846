"""Bases with the weights that others trained on ImageNet."""

import os
from collections.abc import Callable

import keras

from swr_keras.backbones.mobilenet_v2 import mobilenet_v2
from swr_keras.backbones.resnet import resnet50

IMAGENET = "imagenet"
"""What stands for the weights that Keras fetches."""

PUBLISHED: dict[str, Callable[..., keras.Model]] = {
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
}
"""Builders of networks whose weights torchvision publishes; each takes `weights`, a file."""

_APPLICATIONS = {
    "mobilenet_v2": keras.applications.MobileNetV2,
    "resnet50": keras.applications.ResNet50,
}
_NORMALIZATIONS = {"mobilenet_v2": "tf", "resnet50": "caffe"}


def published(
    name: str, weights: str | os.PathLike, *, input_shape: tuple[int, int, int] = (224, 224, 3)
) -> keras.Model:
    """Returns a network that was trained on ImageNet, with its 1000 logits.

    Args:
        name: One of `PUBLISHED`.
        weights: A file that torchvision publishes for it, or `IMAGENET` for Keras' own network of
            this name, whose weights Keras fetches, or has in its cache.
        input_shape: `(height, width, 3)`.

    Raises:
        ValueError: If there is no such network, or see `load_torchvision`.
        OSError: If Keras can't fetch the weights.
    """
    if name not in PUBLISHED:
        raise ValueError(
            f"Weights are published for {', '.join(PUBLISHED)}. Received: name={name!r}."
        )
    if weights != IMAGENET:
        return PUBLISHED[name](input_shape=input_shape, weights=weights)
    trained = _fetched(name)
    if trained.input_shape[1:] == input_shape:
        return trained
    network = _APPLICATIONS[name](input_shape=input_shape, weights=None, classifier_activation=None)
    network.set_weights(trained.get_weights())
    return network


def normalization_of(name: str, weights: str | os.PathLike) -> str:
    """Returns how pixels become numbers for these weights, by its name in `keras.applications`."""
    return _NORMALIZATIONS[name] if weights == IMAGENET else "torch"


def _fetched(name: str) -> keras.Model:
    try:
        return _APPLICATIONS[name](weights=IMAGENET, classifier_activation=None)
    except Exception as error:  # Keras raises a bare Exception where a download fails.
        raise OSError(
            f"Keras can't fetch the weights of '{name}' ({str(error)[:200]}). Give the file that "
            "torchvision publishes."
        ) from error
