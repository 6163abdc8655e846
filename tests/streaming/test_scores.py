import numpy as np
import pytest

from swr_keras.export import LiteModel
from swr_keras.streaming import SlidingWindows, class_probabilities
from swr_keras.streaming.scores import softmax_int8


@pytest.mark.parametrize(
    ("length", "stride", "starts"),
    [
        (5, 1, range(16)),
        (5, 2, range(0, 16, 2)),
        (5, 5, [0, 5, 10, 15]),
        (5, 7, [0, 7, 14]),
        (20, 3, [0]),
        (21, 1, []),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 20])
def test_windows_are_the_last_frames_at_every_stride(length, stride, starts, piece):
    frames = np.arange(20 * 6, dtype=np.float32).reshape(20, 6, 1)
    windows = SlidingWindows(length, stride)
    found = np.concatenate(
        [windows.feed(frames[start : start + piece]) for start in range(0, 20, piece)]
    )
    assert found.shape == (len(starts), length, 6, 1)
    for window, start in zip(found, starts, strict=True):
        np.testing.assert_array_equal(window, frames[start : start + length])


@pytest.mark.parametrize(("length", "stride"), [(0, 1), (1, 0), (-1, 1)])
def test_windows_are_of_frames(length, stride):
    with pytest.raises(ValueError, match="positive number of frames"):
        SlidingWindows(length, stride)


def test_probabilities_are_the_softmax_of_the_real_outputs():
    outputs = np.random.default_rng(0).integers(-128, 128, (50, 7)).astype(np.int8)
    outputs[0] = [127, -128, -128, -128, -128, -128, -128]
    outputs[1] = -128
    for scale, zero_point in ((0.01, 3), (0.13, -128), (2.0, 127)):
        logits = scale * (outputs.astype(float) - zero_point)
        exact = np.exp(logits - logits.max(axis=1, keepdims=True))
        exact /= exact.sum(axis=1, keepdims=True)
        found = softmax_int8(outputs, scale)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, atol=1e-6)


def test_a_network_sees_rounded_features(toy_int8, toy_examples):
    network = LiteModel(toy_int8)
    found = class_probabilities(network, toy_examples[:5])
    logits = network.predict(toy_examples[:5])
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, exact, atol=1e-5)
    assert class_probabilities(network, toy_examples[:0]).shape == (0, 3)
