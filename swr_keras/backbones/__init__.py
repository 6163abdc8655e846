"""Plain Keras builders of the paper's backbones and of pre-trained ones."""

import functools
from collections.abc import Callable

import keras

from swr_keras.backbones.applications import keras_mobilenet_v2, keras_resnet50
from swr_keras.backbones.bcresnet import TAUS, bcresnet
from swr_keras.backbones.mobilenet_v2 import mobilenet_v2
from swr_keras.backbones.res15 import res15
from swr_keras.backbones.resnet import resnet, resnet50
from swr_keras.backbones.speech_embedding import speech_embedding
from swr_keras.backbones.torchvision import load_torchvision, to_torchvision

PUBLISHED: dict[str, Callable[..., keras.Model]] = {
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "keras-mobilenet_v2": keras_mobilenet_v2,
    "keras-resnet50": keras_resnet50,
}
"""Those of `BUILDERS` whose weights for ImageNet are published; each takes them by `weights`."""

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{f"bcresnet{tau:g}": functools.partial(bcresnet, tau) for tau in TAUS},
    **{
        f"bcresnet{tau:g}-hard-swish": functools.partial(bcresnet, tau, activation="hard_swish")
        for tau in TAUS
    },
    "res15": functools.partial(res15, 45),
    "res15-narrow": functools.partial(res15, 19),
    "resnet20": functools.partial(resnet, 20),
    "resnet20-narrow": functools.partial(resnet, 20, 8),
    "resnet32": functools.partial(resnet, 32),
    **PUBLISHED,
}
"""Builders of untrained networks by name; each takes `num_classes` and `input_shape`."""

__all__ = [
    "BUILDERS",
    "PUBLISHED",
    "bcresnet",
    "keras_mobilenet_v2",
    "keras_resnet50",
    "load_torchvision",
    "mobilenet_v2",
    "res15",
    "resnet",
    "resnet50",
    "speech_embedding",
    "to_torchvision",
]
