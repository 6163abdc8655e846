"""Models and examples that the export tests share."""

import keras
import numpy as np
import pytest

from swr_keras.backbones.bcresnet import bcresnet
from swr_keras.export import convert_int8


@pytest.fixture(scope="session")
def log_mel():
    """Function that makes `n` log-mel-like examples `(n, 101, 40, 1)`: noise and some blobs."""

    def make(n, seed):
        rng = np.random.default_rng(seed)
        time, mel = np.linspace(0, 1, 101)[:, None], np.linspace(0, 1, 40)
        examples = rng.normal(-6, 0.7, (n, 101, 40))
        for example in examples:
            for _ in range(rng.integers(1, 5)):
                center, pitch = rng.uniform(0.2, 0.8), rng.uniform(0, 1)
                blob = ((time - center) / 0.12) ** 2 + ((mel - pitch) / 0.1) ** 2
                example += rng.uniform(3, 9) * np.exp(-blob)
        return examples[..., np.newaxis].astype("float32")

    return make


@pytest.fixture(scope="session")
def keyword_model(log_mel):
    """BC-ResNet-1 with random weights and batch-norm statistics of its data."""
    keras.utils.set_random_seed(1)
    model = bcresnet(1)
    for _ in range(25):
        model(log_mel(32, seed=0), training=True)
    return model


@pytest.fixture(scope="session")
def keyword_int8(keyword_model, log_mel):
    """The same model as int8."""
    return convert_int8(keyword_model, log_mel(32, seed=0)).data
