import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import MicroFrontend, Split, evaluation_dataset, training_dataset
from swr_keras.audio.clips import to_int16

pymicro_features = pytest.importorskip(
    "pymicro_features", reason="needs the extra swr-keras[microfrontend]"
)


def _reference(pcm):
    """The package's features of int16 `(samples,)`, read hop by hop as its own code reports."""
    frontend, data, frames = pymicro_features.MicroFrontend(), pcm.tobytes(), []
    while len(data) >= 320:
        output = frontend.process_samples(data)
        data = data[2 * output.samples_read :]
        if output.features:
            frames.append(output.features)
    return np.array(frames, np.float32)[..., None]


@pytest.fixture
def clips():
    """Noise, a tone that fades in, one beyond full scale, and digital silence."""
    random = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 700 * np.arange(8000) / 16000)
    noise = random.normal(0, 0.1, 8000)
    clips = [noise, tone * np.linspace(0, 0.5, 8000), 1.5 * tone, np.zeros(8000)]
    return np.stack(clips).astype(np.float32)


def test_equals_the_package(clips):
    features = MicroFrontend()(tf.constant(clips)).numpy()
    assert features.dtype == np.float32
    pcm = np.clip(np.rint(clips * 32768.0), -32768, 32767).astype(np.int16)
    np.testing.assert_array_equal(features, [_reference(clip) for clip in pcm])
    assert features[0].max() > 5
    assert np.all(features[3] == 0)


def test_scale_gives_the_integers_of_a_device(clips):
    raw = MicroFrontend()(tf.constant(clips)).numpy() / MicroFrontend.scale
    np.testing.assert_array_equal(raw, np.rint(raw))
    assert raw.min() == 0
    assert 500 < raw.max() <= 700


def test_every_clip_starts_fresh_and_again_gives_the_same(clips):
    features = MicroFrontend()
    together = features(tf.constant(clips)).numpy()
    backwards = features(tf.constant(clips[::-1])).numpy()
    np.testing.assert_array_equal(together, backwards[::-1])
    same = features(tf.constant(clips[[0, 0, 0]])).numpy()
    np.testing.assert_array_equal(same, together[[0, 0, 0]])


@pytest.mark.parametrize(("samples", "frames"), [(16000, 98), (35840, 222), (480, 1), (639, 1)])
def test_shape(samples, frames):
    features = MicroFrontend()
    assert features.shape(samples) == (frames, 40, 1)
    assert features(tf.zeros((2, samples))).shape == (2, frames, 40, 1)


def test_static_shape_inside_a_dataset(clips):
    dataset = tf.data.Dataset.from_tensor_slices(clips).batch(3).map(MicroFrontend())
    assert dataset.element_spec.shape.as_list() == [None, 48, 40, 1]
    assert [len(batch) for batch in dataset] == [3, 1]


def test_unknown_length():
    spec = tf.TensorSpec((None, None), tf.float32)
    features = tf.function(MicroFrontend(), input_signature=[spec])
    assert features(tf.zeros((2, 1000))).shape == (2, 4, 40, 1)


def test_in_the_pipeline(clips):
    split = Split(to_int16(clips), np.array([1, 2, 1, 0], np.int32), tuple("abcd"))
    noise = (np.random.default_rng(1).normal(0, 0.1, 9000).astype(np.float32),)
    options = {"batch_size": 3, "silence_label": 0}

    def epoch(dataset):
        return np.concatenate([inputs for inputs, _ in dataset.as_numpy_iterator()])

    evaluation = epoch(evaluation_dataset(split, noise, MicroFrontend(), **options))
    expected = np.stack([_reference(clip) for clip in split.audio[:3]])
    np.testing.assert_array_equal(evaluation[:3], expected)
    assert evaluation[3].max() > 0
    first, second = (
        epoch(training_dataset(split, noise, MicroFrontend(), seed=7, **options)) for _ in range(2)
    )
    assert first.shape == (4, 48, 40, 1)
    np.testing.assert_array_equal(first, second)


def test_clips_shorter_than_a_window():
    with pytest.raises(ValueError, match=r"window of 480 samples. Received: samples=479"):
        MicroFrontend()(tf.zeros((1, 479)))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sample_rate_hz": 8000}, "sample_rate_hz=16000. Received: sample_rate_hz=8000"),
        (
            {"num_mels": 32, "hop_ms": 20},
            "num_mels=40, hop_ms=10. Received: num_mels=32, hop_ms=20",
        ),
        ({"scale": 1}, "scale=0.0390625. Received: scale=1"),
    ],
)
def test_settings_are_compiled_in(settings, reason):
    with pytest.raises(ValueError, match=f"compiled with {reason}. Leave"):
        MicroFrontend(**settings)


def _stream(level):
    """Eleven seconds of noise with a tone that comes and goes in the last one."""
    random = np.random.default_rng(2)
    audio = level * random.normal(size=11 * 16000)
    time = np.arange(16000) / 16000
    audio[-16000:] += 0.3 * np.sin(2 * np.pi * 700 * time) * np.exp(-(((time - 0.3) / 0.1) ** 2))
    return audio[None].astype(np.float32), level * random.normal(size=(1, 9000))


@pytest.mark.parametrize("level", [0.001, 0.01, 0.05])
def test_a_warmed_clip_has_the_features_of_a_stream(level):
    stream, background = _stream(level)
    clip, background = stream[:, -16000:], background.astype(np.float32)
    expected = MicroFrontend()(stream).numpy()[:, -98:]

    def distance(front_end):
        return np.abs(front_end(clip, background).numpy() - expected).mean()

    fresh = distance(MicroFrontend())
    assert fresh > 2
    assert distance(MicroFrontend(warm_up_seconds=2)) < 0.1 * fresh


def test_warm_up_keeps_the_shape_and_is_the_same_for_every_clip(clips):
    features = MicroFrontend(warm_up_seconds=0.5)
    assert features.shape(16000) == MicroFrontend().shape(16000)
    together = features(tf.constant(clips)).numpy()
    assert together.shape == MicroFrontend()(clips).shape
    np.testing.assert_array_equal(features(clips[2:3]).numpy(), together[2:3])


def test_without_warm_up_the_background_is_not_heard(clips):
    alone = MicroFrontend()(clips).numpy()
    np.testing.assert_array_equal(MicroFrontend()(clips, clips[::-1]).numpy(), alone)


def test_a_front_end_written_before_there_was_a_warm_up_has_none():
    parameters = dataclasses.asdict(MicroFrontend())
    del parameters["warm_up_seconds"]
    assert MicroFrontend(**parameters).warm_up_seconds == 0


@pytest.mark.parametrize("seconds", [-1, 61, float("nan"), float("inf")])
def test_warm_up_is_bounded(seconds):
    with pytest.raises(ValueError, match=r"warm_up_seconds must be 0 to 60. Received"):
        MicroFrontend(warm_up_seconds=seconds)


@pytest.mark.parametrize("noise_snr_db", [None, (0.0, 0.0)])
def test_the_pipeline_lets_the_noise_of_a_clip_be_heard_before_it(clips, noise_snr_db):
    loud = clips[[0, 1, 0]] * 0.5
    split = Split(to_int16(loud), np.array([1, 2, 1], np.int32), tuple("abc"))
    noise = (np.random.default_rng(1).normal(0, 0.2, 9000).astype(np.float32),)
    options = {"batch_size": 3, "silence_label": None, "noise_snr_db": noise_snr_db}
    warm = MicroFrontend(warm_up_seconds=1)

    def inputs(dataset):
        return next(dataset.as_numpy_iterator())[0]

    evaluated = inputs(evaluation_dataset(split, noise, warm, **options))
    trained = inputs(training_dataset(split, noise, warm, seed=3, **options))
    fresh = inputs(training_dataset(split, noise, MicroFrontend(), seed=3, **options))
    in_silence = warm(split.audio / np.float32(32768)).numpy()
    assert np.array_equal(evaluated, in_silence) == (noise_snr_db is None)
    assert trained[:, :20].mean() < fresh[:, :20].mean()
