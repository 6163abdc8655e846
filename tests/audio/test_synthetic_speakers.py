import collections
import dataclasses

import numpy as np
import pytest

from swr_keras.audio.synthetic_channel import CLIP_SAMPLES, Channel, centred, trimmed, warped
from swr_keras.audio.synthetic_speakers import VARIANTS, draw_speakers

ALIKE = (
    ("michel", "miguel"),
    ("adam", "Reed"),
    ("adam", "klatt6"),
    ("benjamin", "edward2"),
    ("klatt4", "klatt5"),
    ("klatt", "klatt2"),
    ("Henrique", "Hugo"),
    ("Gene", "Gene2"),
    ("steph2", "steph3"),
    ("iven3", "iven4"),
    ("rob", "robert"),
    ("Nguyen", "m7"),
    ("Michael", "gustave"),
    ("Alex", "m6"),
)
UNREPRODUCIBLE = "Alicia Demonic f2 f3 f5 sandro victor whisper whisperf".split()


def _split_of(variant):
    (split,) = (split for split, variants in VARIANTS.items() if variant in variants)
    return split


def _tone(hz, rate_hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz).astype("float32")


def _word():
    """A vowel in the middle of a clip."""
    return centred(_tone(700, 16000, 0.4) * np.hanning(6400).astype("float32"))


@pytest.fixture
def speaker():
    return draw_speakers(12, 0)[0]


def test_variants_are_in_one_split_each_and_those_alike_in_the_same():
    variants = [variant for names in VARIANTS.values() for variant in names]
    assert len(set(variants)) == len(variants)
    for one, other in ALIKE:
        assert _split_of(one) == _split_of(other)
    assert not set(variants) & set(UNREPRODUCIBLE)


@pytest.mark.parametrize("seed", [0, 1])
def test_speakers_of_the_default(seed):
    speakers = draw_speakers(280, seed)
    assert len({speaker.name for speaker in speakers}) == 280
    sizes = collections.Counter(speaker.split for speaker in speakers)
    assert sizes == {"training": 159, "validation": 28, "testing": 93}
    for split, variants in VARIANTS.items():
        uses = collections.Counter(s.variant for s in speakers if s.split == split)
        assert set(uses) == set(variants)
        assert max(uses.values()) - min(uses.values()) <= 1


def test_speakers_differ_in_all_they_have():
    speakers = draw_speakers(280, 0)
    for field in dataclasses.fields(speakers[0])[2:]:
        assert len({getattr(speaker, field.name) for speaker in speakers}) >= 8, field.name


def test_seed_decides():
    assert draw_speakers(30, 3) == draw_speakers(30, 3)
    assert draw_speakers(30, 3) != draw_speakers(30, 4)


@pytest.mark.parametrize("warp", [0.9, 1.12])
def test_warp_scales_frequencies(warp):
    audio = warped(_tone(1000, 22050), 22050, warp)
    assert audio.dtype == np.float32
    assert len(audio) == pytest.approx(16000 / warp, abs=2)
    spectrum = np.abs(np.fft.rfft(audio, 16000 * 4))
    assert np.argmax(spectrum) / 4 == pytest.approx(1000 * warp, abs=1)


def test_trimming_keeps_the_speech_and_little_else():
    speech = _tone(300, 16000, 0.3)
    audio = np.concatenate([np.zeros(5000), speech, 1e-4 * np.ones(3000)]).astype(np.float32)
    cut = trimmed(audio)
    assert len(speech) <= len(cut) <= len(speech) + 6 * 160
    assert np.square(cut).sum() == pytest.approx(np.square(speech).sum(), rel=1e-4)


@pytest.mark.parametrize("length", [0, 1, 101, 16000, 16001, 20000])
def test_centring(length):
    speech = np.arange(1, length + 1)
    clip = centred(speech)
    assert clip.shape == (CLIP_SAMPLES,)
    inside = clip[clip != 0]
    assert len(inside) == min(length, CLIP_SAMPLES)
    if length > CLIP_SAMPLES:
        assert inside[0] - 1 == pytest.approx(length - inside[-1], abs=1)
    elif length:
        before, after = np.argmax(clip != 0), np.argmax(clip[::-1] != 0)
        assert abs(before - after) <= 1


def test_channel_sets_the_peak(speaker):
    for peak_db in (-20.0, -1.0):
        channel = Channel(dataclasses.replace(speaker, peak_db=peak_db), np.random.default_rng(0))
        audio = channel.record(_word(), np.random.default_rng(1))
        assert audio.dtype == np.float32
        assert np.isfinite(audio).all()
        assert 20 * np.log10(np.abs(audio).max()) == pytest.approx(peak_db, abs=0.01)


def test_channel_sets_the_ratio_of_speech_to_noise(speaker):
    for snr_db in (10.0, 30.0):
        quiet = dataclasses.replace(speaker, snr_db=snr_db, echo_db=-60.0, low_cut_hz=1.0)
        audio = Channel(quiet, np.random.default_rng(0)).record(_word(), np.random.default_rng(1))
        noise = np.square(audio[:3000]).mean()
        measured = 10 * np.log10(np.square(audio).mean() / noise - 1)
        assert measured == pytest.approx(snr_db, abs=1)


def test_echo_rings_after_the_word(speaker):
    def tail(echo_db):
        room = dataclasses.replace(
            speaker, echo_db=echo_db, reverberation_seconds=0.5, snr_db=80.0, peak_db=0.0
        )
        audio = Channel(room, np.random.default_rng(0)).record(_word(), np.random.default_rng(1))
        return np.square(audio[11700:14000]).mean()

    assert tail(-3.0) > 10 * tail(-20.0)


def test_tilt_favours_high_or_low_frequencies(speaker):
    def brightness(tilt_db):
        tilted = dataclasses.replace(speaker, tilt_db=tilt_db, echo_db=-60.0, snr_db=80.0)
        impulse = np.zeros(CLIP_SAMPLES, np.float32)
        impulse[8000] = 1
        audio = Channel(tilted, np.random.default_rng(0)).record(impulse, np.random.default_rng(1))
        spectrum = np.abs(np.fft.rfft(audio))
        return 20 * np.log10(spectrum[4000] / spectrum[2000])

    assert brightness(3.0) == pytest.approx(3, abs=0.3)
    assert brightness(-3.0) == pytest.approx(-3, abs=0.3)
