"""What results were made with."""

import importlib.metadata
import platform

import keras
import numpy as np
import tensorflow as tf

from swr_keras.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that matter, by name."""
    return {
        "python": platform.python_version(),
        "keras": keras.version(),
        "tensorflow": tf.version.VERSION,
        "numpy": np.__version__,
        "pillow": importlib.metadata.version("pillow"),
        "swr_keras": __version__,
    }
