import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import FRONT_ENDS, EmbeddingMel, LogMel, MicroFrontend
from swr_keras.streaming import stream_features

SECONDS = 2


@pytest.fixture(scope="module")
def audio():
    random = np.random.default_rng(0)
    time = np.arange(SECONDS * 16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * 600 * time) * (time > 1)
    return (tone + random.normal(0, 0.05, len(time))).astype(np.float32)


def front_end(name):
    if name == "micro_frontend":
        pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    return FRONT_ENDS[name](16000)


def pieces(audio, kind):
    if kind == "whole":
        return [audio]
    if kind == "hops":
        return np.split(audio, len(audio) // 160)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(audio), 40))
    return [*np.split(audio, cuts), audio[:0]]


@pytest.mark.parametrize("kind", ["whole", "hops", "any"])
@pytest.mark.parametrize("name", ["micro_frontend", "log_mel", "mfcc"])
def test_frames_are_those_of_a_clip_however_the_stream_is_cut(name, kind, audio):
    computer = front_end(name)
    stream = stream_features(computer)
    frames = np.concatenate([stream.feed(piece) for piece in pieces(audio, kind)])
    clip = computer(tf.constant(audio[None])).numpy()[0]
    assert len(clip) - 3 <= len(frames) <= len(clip)
    if name == "micro_frontend":
        np.testing.assert_array_equal(frames, clip)
    else:
        np.testing.assert_allclose(frames, clip[: len(frames)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["micro_frontend", "log_mel", "mfcc"])
def test_a_frame_comes_with_its_last_sample(name, audio):
    stream = stream_features(front_end(name))
    first = stream.feed(audio[:8000])
    end = stream.frame_end(len(first))
    assert not len(stream.feed(audio[8000 : end - 1]))
    assert len(stream.feed(audio[end - 1 : end])) == 1


def test_the_micro_front_end_carries_its_state(audio):
    """What was heard a second ago still matters, which is why clips are computed after noise."""
    computer = front_end("micro_frontend")
    later = stream_features(computer)
    later.feed(audio[:16000])
    after = later.feed(audio[16000:])[2:]
    fresh = stream_features(computer).feed(audio[16000:])
    assert after.shape == fresh.shape
    assert np.abs(after - fresh).max() > 1
    warmed = MicroFrontend(warm_up_seconds=1)(tf.constant(audio[None, 16000:]), audio[None, :16000])
    assert np.abs(after - warmed[0]).mean() < 0.25 * np.abs(after - fresh).mean()


def test_windows_may_be_shorter_than_hops_and_pieces_shorter_than_windows(audio):
    computer = LogMel(window_ms=5, hop_ms=10, fft_length=512, num_mels=8)
    stream = stream_features(computer)
    frames = np.concatenate([stream.feed(piece) for piece in np.split(audio, 1000)])
    clip = computer(tf.constant(audio[None])).numpy()[0]
    np.testing.assert_allclose(frames, clip[: len(frames)], rtol=1e-4, atol=1e-4)
    assert len(clip) - len(frames) <= 1


def test_a_front_end_that_needs_the_whole_clip_is_refused():
    with pytest.raises(ValueError, match="Received: EmbeddingMel"):
        stream_features(EmbeddingMel())
