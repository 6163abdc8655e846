import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import (
    FRONT_ENDS,
    LogMel,
    MicroFrontend,
    fit_length,
    front_end_from,
    read_audio,
)


def _reference(audio, rate_hz=16000, num_mels=40, window=480, hop=160, fft=512):
    """The definition, literally and in float64: pad by fft / 2, window centred in the FFT frame."""
    padded = np.pad(audio.astype(np.float64), fft // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    left = (fft - window) // 2
    frame_window = np.pad(hann, (left, fft - window - left))
    starts = range(0, len(padded) - fft + 1, hop)
    power = np.array([np.abs(np.fft.fft(padded[s : s + fft] * frame_window)) ** 2 for s in starts])

    top_mel = 2595 * np.log10(1 + rate_hz / 2 / 700)
    corners = [700 * (10 ** (top_mel * i / (num_mels + 1) / 2595) - 1) for i in range(num_mels + 2)]
    filters = np.zeros((fft // 2 + 1, num_mels))
    for k in range(fft // 2 + 1):
        hz = k * rate_hz / fft
        for m in range(num_mels):
            low, centre, high = corners[m : m + 3]
            if low < hz <= centre:
                filters[k, m] = (hz - low) / (centre - low)
            elif centre < hz < high:
                filters[k, m] = (high - hz) / (high - centre)
    return np.log(power[:, : fft // 2 + 1] @ filters + 1e-6)


@pytest.fixture
def clips():
    time = np.arange(16000) / 16000
    return np.stack(
        [
            np.random.default_rng(0).uniform(-1, 1, 16000),
            np.sin(2 * np.pi * (100 + 3500 * time) * time),
            np.zeros(16000),
            np.full(16000, 0.5),
        ]
    ).astype(np.float32)


def test_equals_the_definition(clips):
    mel = LogMel()(tf.constant(clips)).numpy()
    assert mel.dtype == np.float32
    expected = np.stack([_reference(clip) for clip in clips])[..., None]
    np.testing.assert_allclose(mel[0], expected[0], atol=1e-5)
    # The empty bands of a loud tone are rounding errors of float32 just above the floor.
    np.testing.assert_allclose(mel, expected, atol=5e-3)


def test_equals_the_definition_at_other_settings(clips):
    features = LogMel(8000, num_mels=20, window_ms=25.125, hop_ms=12.5, fft_length=256)
    assert features.window_samples == 201
    mel = features(tf.constant(clips[:2])).numpy()[..., 0]
    expected = [_reference(clip, 8000, 20, 201, 100, 256) for clip in clips[:2]]
    np.testing.assert_allclose(mel, expected, atol=5e-3)


def test_equals_the_definition_on_real_recordings(recordings):
    paths = sorted((recordings / "mandarin" / "fudan").glob("*.flac"))[:4]
    clips = np.stack([fit_length(read_audio(path), 16000) for path in paths])
    expected = np.stack([_reference(clip) for clip in clips])[..., None]
    np.testing.assert_allclose(LogMel()(tf.constant(clips)), expected, atol=5e-3)


@pytest.mark.parametrize("log_offset", [1e-6, 1e-3])
def test_silence_is_the_floor(clips, log_offset):
    mel = LogMel(log_offset=log_offset)(tf.constant(clips[2:3]))
    np.testing.assert_allclose(mel, np.log(log_offset), rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "frames"), [(16000, 101), (35840, 225), (241, 2), (16159, 101)]
)
def test_shape(samples, frames):
    features = LogMel()
    assert features.shape(samples) == (frames, 40, 1)
    assert features(tf.zeros((2, samples))).shape == (2, frames, 40, 1)


def test_static_shape_inside_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(tf.zeros((3, 16000))).batch(2).map(LogMel())
    assert dataset.element_spec.shape.as_list() == [None, 101, 40, 1]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"window_ms": 40}, "640 samples exceeds fft_length"),
        ({"num_mels": 128}, "mel bands hold no FFT bin"),
        ({"hop_ms": 0}, "positive"),
        ({"num_mels": 0}, "positive"),
        ({"log_offset": 0}, "positive"),
    ],
)
def test_impossible_settings(settings, reason):
    with pytest.raises(ValueError, match=reason):
        LogMel(**settings)


def test_clips_too_short_to_reflect():
    with pytest.raises(ValueError, match="Received: samples=240"):
        LogMel()(tf.zeros((1, 240)))


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_have_one_interface(name, clips):
    if name == "micro_frontend":
        pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    features = FRONT_ENDS[name](16000)
    assert features == FRONT_ENDS[name](16000)
    assert features.sample_rate_hz == 16000
    inputs = features(tf.constant(clips[:, :8000]))
    assert inputs.dtype == tf.float32
    assert inputs.shape == (4, *features.shape(8000))
    assert np.all(np.isfinite(inputs))


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymicro_features", None)
    with pytest.raises(ImportError, match=r"swr-keras\[microfrontend\]"):
        MicroFrontend()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_a_front_end_is_known_by_its_description(name):
    if name == "micro_frontend":
        pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    front_end = FRONT_ENDS[name](16000)
    described = {
        "class": type(front_end).__name__,
        "parameters": json.loads(json.dumps(dataclasses.asdict(front_end))),
    }
    assert front_end_from(described) == front_end


@pytest.mark.parametrize(
    "described",
    [
        None,
        {"class": "Ears", "parameters": {}},
        {"class": ["LogMel"], "parameters": {}},
        {"class": "LogMel"},
        {"class": "LogMel", "parameters": [1]},
        {"class": "LogMel", "parameters": {"colour": 1}},
        {"class": "LogMel", "parameters": {"num_mels": "many"}},
        {"class": "LogMel", "parameters": {"num_mels": 0}},
        {"class": "LogMel", "parameters": {"fft_length": 2**50}},
        {"class": "LogMel", "parameters": {"sample_rate_hz": 1e300}},
    ],
)
def test_what_describes_no_front_end_is_refused(described):
    with pytest.raises(ValueError, match="Received"):
        front_end_from(described)
