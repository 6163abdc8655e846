import numpy as np
import pytest
import tensorflow as tf

from swr_keras.audio import (
    NoiseBank,
    add_noise_gain,
    add_noise_snr,
    shift_and_add_noise,
    spec_augment,
    spec_augment_freq_width,
    time_shift,
)

SEED = tf.constant([3, 14])
SAMPLES = 2000


@pytest.fixture
def bank():
    """Two ramps whose values tell file and place: 0.1 to 0.2 and -0.2 to -0.3."""
    return NoiseBank.from_arrays(
        [
            np.linspace(0.1, 0.2, 3000, dtype=np.float32),
            np.linspace(-0.2, -0.3, SAMPLES, dtype=np.float32),
        ]
    )


@pytest.fixture
def white():
    random = np.random.default_rng(1)
    return NoiseBank.from_arrays([random.uniform(-0.5, 0.5, 5000).astype(np.float32)] * 3)


def _clips(number, level=0.2):
    return tf.random.stateless_uniform((number, SAMPLES), [0, 0], -level, level)


def _silent(number, value=False):
    return tf.fill([number], value)


def test_crops_stay_inside_their_recording(bank):
    crops = bank.crops_like(tf.zeros((200, SAMPLES)), SEED).numpy()
    first = crops[:, 0] > 0
    assert 60 < first.sum() < 140
    step = 0.1 / 2999
    np.testing.assert_allclose(np.diff(crops[first]), step, rtol=0.02)
    assert crops[first, 0].min() >= 0.1
    assert crops[first, -1].max() <= 0.2 + 1e-6
    assert len(np.unique(crops[first, 0])) > 30
    np.testing.assert_allclose(crops[~first], np.tile(crops[~first][:1], ((~first).sum(), 1)))


def test_a_bank_needs_noise():
    with pytest.raises(ValueError, match="at least one recording"):
        NoiseBank.from_arrays([])


def test_time_shift_moves_and_fills_with_zeros():
    ramp = np.arange(1, SAMPLES + 1, dtype=np.float32)
    shifted = time_shift(tf.constant(np.tile(ramp, (300, 1))), SEED, 50).numpy()
    shifts = set()
    for row in shifted:
        shift = int(np.argmax(row != 0)) or int(1 - row[0])
        expected = np.zeros(SAMPLES)
        if shift >= 0:
            expected[shift:] = ramp[: SAMPLES - shift]
        else:
            expected[:shift] = ramp[-shift:]
        np.testing.assert_array_equal(row, expected)
        shifts.add(shift)
    assert min(shifts) < -40
    assert max(shifts) > 40
    assert max(map(abs, shifts)) <= 50


def test_no_shift():
    clips = _clips(3)
    np.testing.assert_array_equal(time_shift(clips, SEED, 0), clips)


def test_noise_gain_is_uniform_up_to_its_bound(white):
    clips = tf.zeros((500, SAMPLES))
    crops = white.crops_like(clips, tf.random.split(SEED, 2)[0])
    for silent, bound in ((False, 0.1), (True, 1.0)):
        noisy = add_noise_gain(clips, white, SEED, _silent(500, silent))
        gain = np.median(noisy / crops, axis=1)
        assert 0 <= gain.min() < 0.05 * bound
        assert 0.95 * bound < gain.max() <= bound
        assert gain.mean() == pytest.approx(bound / 2, rel=0.1)


def test_zero_gain_touches_silence_only(white):
    clips = _clips(4)
    is_silence = tf.constant([False, True, False, True])
    noisy = add_noise_gain(clips, white, SEED, is_silence, max_gain=0.0)
    changed = np.any(noisy != clips, axis=1)
    np.testing.assert_array_equal(changed, is_silence)


def test_snr_is_achieved_and_drawn_from_the_range(white):
    clips = _clips(200) * tf.linspace(0.01, 1.0, 200)[:, None]
    noisy = add_noise_snr(clips, white, SEED, _silent(200), (3.0, 9.0))
    noise = noisy - clips
    snr_db = 10 * np.log10(np.mean(clips**2, axis=1) / np.mean(noise**2, axis=1))
    assert 3 - 0.1 < snr_db.min() < 3.5
    assert 8.5 < snr_db.max() < 9 + 0.1
    fixed = add_noise_snr(clips, white, SEED, _silent(200), (6.0, 6.0))
    power = np.mean((fixed - clips) ** 2, axis=1)
    snr_db = 10 * np.log10(np.mean(clips**2, axis=1) / power)
    np.testing.assert_allclose(snr_db, 6.0, atol=0.1)


def test_snr_with_silence_and_digital_silence(white):
    clips = tf.zeros((100, SAMPLES))
    is_silence = tf.range(100) < 50
    noisy = add_noise_snr(clips, white, SEED, is_silence, (0.0, 0.0)).numpy()
    assert np.all(noisy[:50].any(axis=1))
    assert not noisy[50:].any()
    quiet = NoiseBank.from_arrays([np.zeros(SAMPLES, np.float32)])
    clips = _clips(4)
    np.testing.assert_array_equal(add_noise_snr(clips, quiet, SEED, _silent(4), (0, 0)), clips)


def test_nothing_leaves_the_range():
    loud = NoiseBank.from_arrays([np.ones(SAMPLES, np.float32)])
    clips = tf.ones((50, SAMPLES))
    for noisy in (
        add_noise_gain(clips, loud, SEED, _silent(50)),
        add_noise_gain(-clips, loud, SEED, _silent(50, True)),
        add_noise_snr(clips, loud, SEED, _silent(50), (-20.0, 0.0)),
        shift_and_add_noise(clips, loud, SEED, _silent(50), 100),
    ):
        assert np.abs(noisy).max() <= 1.0


def test_event_probability(white):
    clips = _clips(1000)
    noisy = shift_and_add_noise(clips, white, SEED, _silent(1000), 100)
    assert np.any(noisy != clips, axis=1).mean() == pytest.approx(0.8, abs=0.04)
    never = shift_and_add_noise(clips, white, SEED, _silent(1000), 100, probability=0.0)
    np.testing.assert_array_equal(never, clips)


def test_event_always_happens_to_silence(white):
    clips = tf.zeros((200, SAMPLES))
    noisy = shift_and_add_noise(clips, white, SEED, _silent(200, True), 100, probability=0.0)
    assert np.all(np.any(noisy != 0, axis=1))


def test_shift_and_noise_come_together(white):
    clips = tf.one_hot(tf.fill([300], 1000), SAMPLES)
    noisy = shift_and_add_noise(clips, white, SEED, _silent(300), 500).numpy()
    moved = np.argmax(noisy, axis=1) != 1000
    has_noise = np.count_nonzero(noisy, axis=1) > 1
    assert moved.sum() > 200
    assert np.all(has_noise[moved])


def _runs(mask):
    """Lengths of the runs of True in each row."""
    edges = np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1))), axis=1)
    return [np.flatnonzero(e == -1) - np.flatnonzero(e == 1) for e in edges]


def test_spec_augment_widths():
    masked = spec_augment(tf.ones((400, 101, 40, 1)), SEED, max_freq_width=7, num=1).numpy()
    zero = masked[..., 0] == 0
    freq_runs = np.concatenate(_runs(zero.all(axis=1)))
    time_runs = np.concatenate(_runs(zero.all(axis=2)))
    assert set(freq_runs) == set(range(1, 7))
    assert set(time_runs) == set(range(1, 20))
    full = zero.all(axis=1)[:, None, :] | zero.all(axis=2)[:, :, None]
    np.testing.assert_array_equal(zero, full)
    assert full[:, :, 0].any() and full[:, :, -1].any() and full[:, -1].any()


def test_spec_augment_draws_two_masks_by_default():
    masked = spec_augment(tf.ones((400, 101, 40, 1)), SEED, max_freq_width=7).numpy()
    runs = _runs((masked[..., 0] == 0).all(axis=2))
    assert max(len(lengths) for lengths in runs) == 2
    assert len({tuple(lengths) for lengths in runs}) > 100


def test_spec_augment_keeps_other_values_and_survives_few_frames():
    features = tf.random.stateless_normal((50, 6, 4, 1), [1, 1])
    masked = spec_augment(features, SEED, max_freq_width=7).numpy()
    kept = masked != 0
    np.testing.assert_array_equal(masked[kept], features.numpy()[kept])


@pytest.mark.parametrize(("tau", "width"), [(1, None), (1.5, 1), (2, 3), (3, 5), (6, 7), (8, 7)])
def test_spec_augment_freq_width(tau, width):
    assert spec_augment_freq_width(tau) == width


def test_spec_augment_freq_width_of_an_unpublished_tau():
    with pytest.raises(ValueError, match="Received: tau=4"):
        spec_augment_freq_width(4)


def test_seed_decides(white):
    functions = {
        "shift": lambda seed: time_shift(_clips(8), seed, 100),
        "gain": lambda seed: add_noise_gain(_clips(8), white, seed, _silent(8)),
        "snr": lambda seed: add_noise_snr(_clips(8), white, seed, _silent(8), (0.0, 10.0)),
        "both": lambda seed: shift_and_add_noise(_clips(8), white, seed, _silent(8), 100),
        "mask": lambda seed: spec_augment(tf.ones((8, 101, 40, 1)), seed, 7),
    }
    for name, function in functions.items():
        once = function(SEED).numpy()
        np.testing.assert_array_equal(once, function(SEED), err_msg=name)
        assert np.any(once != function(SEED + 1)), name


def test_unknown_clip_length_is_an_error():
    shift = tf.function(lambda audio: time_shift(audio, SEED, 10))
    with pytest.raises(ValueError, match="known length"):
        shift.get_concrete_function(tf.TensorSpec((None, None)))
