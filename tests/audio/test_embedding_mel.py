import importlib.resources

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from swr_keras.audio import EmbeddingMel, fit_length, read_audio


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    noise = rng.uniform(-1, 1, 16000)
    clips = [
        noise,
        np.sin(2 * np.pi * (100 + 1700 * time) * time),
        noise * (time > 0.5),
        1e-3 * noise,
        np.zeros(16000),
    ]
    return np.stack(clips).astype(np.float32)


@pytest.fixture
def original():
    """The wheel's front end with its scaling, one clip at a time."""
    pytest.importorskip("pyopen_wakeword", reason="needs the extra `embedding`")
    models = importlib.resources.files("pyopen_wakeword").joinpath("models")

    def compute(clips):
        interpreter = Interpreter(str(models / "melspectrogram.tflite"))
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, (1, clips.shape[1]))
        interpreter.allocate_tensors()
        outputs = []
        for clip in clips:
            interpreter.set_tensor(index, clip[None] * 32768)
            interpreter.invoke()
            decibels = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 0]
            outputs.append(decibels / 10 + 2)
        return np.stack(outputs)[..., None]

    return compute


@pytest.mark.parametrize("samples", [16000, 15999, 12512, 1760])
def test_equals_the_original(clips, original, samples):
    clips = clips[:, -samples:]
    mel = EmbeddingMel()(tf.constant(clips)).numpy()
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, original(clips), atol=1e-3)


def test_equals_the_original_on_real_recordings(recordings, original):
    paths = sorted((recordings / "mandarin" / "fudan").glob("*.flac"))[:4]
    clips = np.stack([fit_length(read_audio(path, 16000), 16000) for path in paths])
    np.testing.assert_allclose(EmbeddingMel()(tf.constant(clips)), original(clips), atol=2e-4)


def test_range_is_80_db_of_each_clip_alone(clips):
    mel = EmbeddingMel()(tf.constant(clips)).numpy()
    spans = np.ptp(mel, axis=(1, 2, 3))
    np.testing.assert_allclose(spans[2], 8, rtol=1e-6)
    assert spans.max() < 8 + 1e-5
    np.testing.assert_allclose(mel[4], -8, rtol=1e-6)
    np.testing.assert_allclose(EmbeddingMel()(tf.constant(clips[3:4])), mel[3:4], atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "frames"), [(16000, 97), (12512, 76), (12511, 75), (512, 1), (671, 1), (672, 2)]
)
def test_shape(samples, frames):
    assert EmbeddingMel().shape(samples) == (frames, 32, 1)
    assert EmbeddingMel()(tf.zeros((2, samples))).shape == (2, frames, 32, 1)


def test_static_shape_inside_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(tf.zeros((3, 16000))).batch(2).map(EmbeddingMel())
    assert dataset.element_spec.shape.as_list() == [None, 97, 32, 1]


def test_clips_shorter_than_a_frame():
    with pytest.raises(ValueError, match="frame of 512 samples. Received: samples=511"):
        EmbeddingMel()(tf.zeros((1, 511)))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sample_rate_hz": 8000}, "sample_rate_hz=16000. Received: sample_rate_hz=8000"),
        ({"max_hz": 4000}, "max_hz=3800. Received: max_hz=4000"),
    ],
)
def test_settings_are_those_of_the_embedding(settings, reason):
    with pytest.raises(ValueError, match=f"trained with {reason}. Leave"):
        EmbeddingMel(**settings)
