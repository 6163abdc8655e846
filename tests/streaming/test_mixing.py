import numpy as np
import pytest

from swr_keras.audio import Split
from swr_keras.streaming import MixedStream

LABELS = ("_silence_", "_unknown_", "no", "yes")
RATE_HZ = 1000


def clips(count=12):
    """Tones at several levels; the first is silence, the second without any sound."""
    random = np.random.default_rng(0)
    audio = (random.uniform(500, 8000, (count, 1)) * random.normal(size=(count, 500))).clip(
        -32768, 32767
    )
    audio[:2] = 0
    labels = np.array([0, 3, *(1 + np.arange(count - 2) % 3)], np.int32)
    return Split(audio.astype(np.int16), labels, tuple(map(str, range(count))))


def noise():
    random = np.random.default_rng(1)
    return [random.normal(0, 0.1, 4000).astype(np.float32), np.ones(500, np.float32)]


def mixed(seconds=65.0, snr_db=(10.0, 10.0), seed=0, split=None, background=None):
    return MixedStream(
        split or clips(),
        LABELS,
        noise() if background is None else background,
        seconds,
        snr_db,
        seed=seed,
        sample_rate_hz=RATE_HZ,
    )


def whole(stream):
    return np.concatenate(list(stream.blocks()))


def test_each_word_is_once_where_the_truth_says():
    stream = mixed(snr_db=(60.0, 60.0))
    audio, truth = whole(stream), stream.truth
    assert audio.dtype == np.float32
    assert len(audio) == 65 * RATE_HZ == stream.samples
    assert truth.seconds == 65
    assert stream.num_clips == 10
    assert sorted(each.label for each in truth.utterances) == ["no"] * 3 + ["yes"] * 3
    starts = [each.start_seconds for each in truth.utterances]
    assert starts == sorted(starts)
    split = clips()
    for each in truth.utterances:
        start = round(each.start_seconds * RATE_HZ)
        heard = audio[start : start + 500]
        fits = [np.corrcoef(heard, clip)[0, 1] for clip in split.audio[2:]]
        assert max(fits) > 0.99
        assert LABELS[split.labels[2 + int(np.argmax(fits))]] == each.label


def test_words_do_not_overlap():
    truth = mixed(seconds=11.0).truth
    ends = np.array([each.end_seconds for each in truth.utterances])
    starts = np.array([each.start_seconds for each in truth.utterances])
    assert (starts[1:] >= ends[:-1] - 1e-9).all()
    assert ends.max() <= 11


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 12.0])
def test_each_clip_has_its_snr(snr_db):
    background = [np.random.default_rng(1).normal(0, 0.1, 4000).astype(np.float32)]
    keywords = clips().take(np.flatnonzero(clips().labels > 1))
    stream = mixed(snr_db=(snr_db, snr_db), background=background, split=keywords)
    audio = whole(stream).astype(float)
    starts = [round(each.start_seconds * RATE_HZ) for each in stream.truth.utterances]
    assert len(starts) == stream.num_clips
    quiet = np.ones(len(audio), bool)
    for start in starts:
        quiet[start : start + 500] = False
    floor = np.mean(audio[quiet] ** 2)
    louder = [np.mean(audio[start : start + 500] ** 2) / floor - 1 for start in starts]
    np.testing.assert_allclose(10 * np.log10(np.mean(louder)), snr_db, atol=1.5)


def test_noise_is_equally_loud_everywhere():
    powers = [np.mean(block**2) for block in mixed(snr_db=(-40.0, -40.0)).blocks()]
    np.testing.assert_allclose(powers, powers[0], rtol=0.05)


def test_a_seed_says_everything():
    np.testing.assert_array_equal(whole(mixed(seed=3)), whole(mixed(seed=3)))
    assert mixed(seed=3).truth == mixed(seed=3).truth
    assert mixed(seed=3).truth != mixed(seed=4).truth
    assert not np.array_equal(whole(mixed(seed=3)), whole(mixed(seed=4)))


def test_a_short_stream_is_half_filled():
    assert mixed(seconds=5.0).num_clips == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": []}, "no noise"),
        ({"split": clips().take(np.arange(2))}, "none with any sound"),
        ({"seconds": 0.9}, "at least as long as two clips"),
    ],
)
def test_what_makes_no_stream_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mixed(**options)
