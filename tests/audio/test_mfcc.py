import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import MFCC, fit_length, read_audio


def _reference(audio, rate_hz=16000, num_mels=40, window=480, hop=160, min_hz=20, max_hz=4000):
    """The definition, literally and in float64."""
    padded = np.pad(audio.astype(np.float64), window // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(padded) - window + 1, hop)
    power = np.array([np.abs(np.fft.fft(padded[s : s + window] * hann)) ** 2 for s in starts])

    def mel(hz):
        return 3 * hz / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)

    def hz(mel):
        return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    step = (mel(max_hz) - mel(min_hz)) / (num_mels + 1)
    corners = [hz(mel(min_hz) + i * step) for i in range(num_mels + 2)]
    filters = np.zeros((window, num_mels))
    for k in range(window // 2 + 1):
        bin_hz = k * rate_hz / window
        for m in range(num_mels):
            low, centre, high = corners[m : m + 3]
            if low < bin_hz <= centre:
                filters[k, m] = (bin_hz - low) / (centre - low) * 2 / (high - low)
            elif centre < bin_hz < high:
                filters[k, m] = (high - bin_hz) / (high - centre) * 2 / (high - low)
    mels = power @ filters
    logs = np.where(mels > 0, np.log(np.where(mels > 0, mels, 1)), 0)
    rows, bands = np.arange(num_mels)[:, None], np.arange(num_mels)
    dct = np.sqrt(2 / num_mels) * np.cos(np.pi * rows * (bands + 0.5) / num_mels)
    dct[0] = np.sqrt(1 / num_mels)
    return logs @ dct.T


@pytest.fixture
def clips():
    random = np.random.default_rng(0)
    noise = random.uniform(-1, 1, 16000)
    fading = random.normal(0, 0.2, 16000) * np.linspace(0, 1, 16000)
    return np.stack([noise, fading]).astype(np.float32)


def test_equals_the_definition(clips):
    mfcc = MFCC()(tf.constant(clips)).numpy()
    assert mfcc.dtype == np.float32
    np.testing.assert_allclose(mfcc[..., 0], [_reference(clip) for clip in clips], atol=1e-4)


def test_equals_librosa(clips):
    """Values of librosa 0.11.0 with `pad_mode="reflect"` and scipy's DCT."""
    expected = {
        0: [1.75497, 0.86511, 0.82469, 0.90986, 1.05334],
        1: [1.0262, 0.27664, 2.2184, 0.89959, -0.00166],
        50: [0.47598, -0.05884, 1.28155, 0.08887, -0.2048],
        100: [0.92424, -1.20824, 0.3086, 2.81675, -0.62064],
    }
    mfcc = MFCC()(tf.constant(clips[:1])).numpy()[0, :, :, 0]
    for frame, values in expected.items():
        np.testing.assert_allclose(mfcc[frame, [0, 1, 2, 20, 39]], values, atol=2e-5)


def test_equals_the_definition_at_other_settings(clips):
    features = MFCC(8000, num_mels=20, window_ms=32, hop_ms=12.5, min_hz=100, max_hz=3900)
    mfcc = features(tf.constant(clips)).numpy()[..., 0]
    expected = [_reference(clip, 8000, 20, 256, 100, 100, 3900) for clip in clips]
    np.testing.assert_allclose(mfcc, expected, atol=1e-4)


def test_equals_the_definition_on_real_recordings(recordings):
    paths = sorted((recordings / "mandarin" / "fudan").glob("*.flac"))[:4]
    clips = np.stack([fit_length(read_audio(path), 16000) for path in paths])
    expected = np.stack([_reference(clip) for clip in clips])[..., None]
    np.testing.assert_allclose(MFCC()(tf.constant(clips)), expected, atol=1e-3)


def test_digital_silence_is_zero():
    np.testing.assert_array_equal(MFCC()(tf.zeros((1, 16000))), np.zeros((1, 101, 40, 1)))


@pytest.mark.parametrize(
    ("samples", "frames"), [(16000, 101), (35840, 225), (241, 2), (16159, 101)]
)
def test_shape(samples, frames):
    features = MFCC()
    assert features.shape(samples) == (frames, 40, 1)
    assert features(tf.zeros((2, samples))).shape == (2, frames, 40, 1)


def test_static_shape_inside_a_dataset():
    dataset = tf.data.Dataset.from_tensor_slices(tf.zeros((3, 16000))).batch(2).map(MFCC())
    assert dataset.element_spec.shape.as_list() == [None, 101, 40, 1]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_mels": 200}, "mel bands hold no FFT bin"),
        ({"hop_ms": 0}, "positive"),
        ({"num_mels": 0}, "positive"),
        ({"sample_rate_hz": 7999}, "max_hz <= sample_rate_hz / 2"),
        ({"min_hz": 4000}, "min_hz < max_hz"),
        ({"min_hz": -1}, "0 <= min_hz"),
    ],
)
def test_impossible_settings(settings, reason):
    with pytest.raises(ValueError, match=reason):
        MFCC(**settings)


def test_clips_too_short_to_reflect():
    with pytest.raises(ValueError, match="Received: samples=240"):
        MFCC()(tf.zeros((1, 240)))
