"""Plain Keras builders of the paper's backbones, and a pre-trained one."""

import functools
from collections.abc import Callable

import keras

from swr_keras.backbones.bcresnet import TAUS, bcresnet
from swr_keras.backbones.res15 import res15
from swr_keras.backbones.speech_embedding import speech_embedding

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{f"bcresnet{tau:g}": functools.partial(bcresnet, tau) for tau in TAUS},
    **{
        f"bcresnet{tau:g}-hard-swish": functools.partial(bcresnet, tau, activation="hard_swish")
        for tau in TAUS
    },
    "res15": functools.partial(res15, 45),
    "res15-narrow": functools.partial(res15, 19),
}
"""Builders of untrained networks by name; each takes `num_classes` and `input_shape`."""

__all__ = ["BUILDERS", "bcresnet", "res15", "speech_embedding"]
