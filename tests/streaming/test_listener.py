import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import LogMel
from swr_keras.streaming import Listener, class_probabilities


class Loudness:
    """A network that tells by its mean how loud a window is."""

    output_scale = 0.05

    def __init__(self, frames, features=40, classes=3, shape=None):
        self.input_shape = shape or (1, frames, features, 1)
        self.output_shape = (1, classes)

    def quantize(self, x):
        return np.clip(np.rint(4 * np.asarray(x)), -128, 127).astype(np.int8)

    def predict_int8(self, q):
        loud = np.rint(q.reshape(len(q), -1).mean(axis=1) if len(q) else np.zeros(0))
        outputs = np.stack([loud, -loud, np.zeros_like(loud)], axis=1)
        return np.clip(outputs, -128, 127).astype(np.int8)


@pytest.fixture(scope="module")
def audio():
    loudness = np.repeat([0.001, 0.3, 0.01, 0.1], 16000)
    return (loudness * np.random.default_rng(0).normal(size=len(loudness))).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 7, 150])
def test_each_window_is_seen_as_a_clip_would_be(stride, audio):
    networks = {"short": Loudness(21), "long": Loudness(99)}
    listener = Listener(LogMel(), networks, stride=stride)
    pieces = np.split(audio, [100, 5000, 5001, 40000])
    heard = [listener.feed(piece) for piece in pieces]
    frames = LogMel()(tf.constant(audio[None])).numpy()[0]
    for name, network in networks.items():
        length = network.input_shape[1]
        starts = range(0, len(frames) - 2 - length + 1, stride)
        windows = np.stack([frames[start : start + length] for start in starts])
        found = np.concatenate([each[name] for each in heard])
        assert len(found) == len(windows)
        # Rounding to int8 can tip over where frames differ in their last bits.
        np.testing.assert_allclose(found, class_probabilities(network, windows), atol=0.03)
        assert found.std(axis=0).max() > 0.02


def test_windows_end_when_all_their_samples_were_heard(audio):
    listener = Listener(LogMel(), {"words": Loudness(99)}, stride=5)
    needed = listener.window_samples["words"]
    assert needed == 98 * 160 + 240
    assert not len(listener.feed(audio[: needed - 1])["words"])
    assert len(listener.feed(audio[needed - 1 : needed])["words"]) == 1
    rules = listener.handling("words", ("no", "yes"), smoothing_ms=200, refractory_ms=1010)
    assert rules.first_seconds == needed / 16000
    assert rules.step_seconds == pytest.approx(0.05)
    assert (rules.smoothing, rules.refractory) == (4, 21)
    least = listener.handling("words", ("no", "yes"), smoothing_ms=0, refractory_ms=0)
    assert (least.smoothing, least.refractory) == (1, 0)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Loudness(99, features=32), r"the front end gives \(40, 1\)"),
        (Loudness(99, shape=(1, 99)), "needs a network from"),
    ],
)
def test_a_network_that_hears_otherwise_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        Listener(LogMel(), {"words": network}, stride=1)
