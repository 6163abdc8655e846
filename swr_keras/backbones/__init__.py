"""Plain Keras builders of the paper's backbones."""

from swr_keras.backbones.bcresnet import bcresnet

__all__ = ["bcresnet"]
