"""Plain Keras builders of the paper's backbones, and a pre-trained one."""

from swr_keras.backbones.bcresnet import bcresnet
from swr_keras.backbones.res15 import res15
from swr_keras.backbones.speech_embedding import speech_embedding

__all__ = ["bcresnet", "res15", "speech_embedding"]
