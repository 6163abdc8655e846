import collections
import dataclasses
import json
import os
import subprocess
import sys
import wave

import numpy as np
import pytest

from swr_keras.audio import (
    SYNTHETIC_KEYWORDS,
    SYNTHETIC_UNKNOWN_WORDS,
    SpeechCommands,
    synthetic_corpus,
)
from swr_keras.audio.espeak import Espeak
from swr_keras.audio.splits import speaker_of
from swr_keras.audio.synthetic import say_word
from swr_keras.audio.synthetic_speakers import ACCENTS, MIN_SPEAKERS, VARIANTS, draw_speakers

TASKS = ("english", "mandarin")


@pytest.fixture(scope="module")
def loader():
    return pytest.importorskip("espeakng_loader", reason="needs the extra `synth`")


@pytest.fixture(scope="module")
def built(loader, tmp_path_factory):
    """The smallest corpus, with the shares its build announced."""
    shares = []
    cache = tmp_path_factory.mktemp("cache")
    return synthetic_corpus(cache, speakers=MIN_SPEAKERS, progress=shares.append), shares


@pytest.fixture
def folders(built):
    return built[0]


def _description(folders):
    return json.loads((folders["english"].parent / "corpus.json").read_text())


def _samples(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def _clips(folder):
    return sorted(folder.glob("[a-z]*/*.wav"))


def _content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("task", TASKS)
def test_is_read_as_speech_commands(folders, task):
    commands = SpeechCommands(
        folders[task],
        keywords=SYNTHETIC_KEYWORDS[task],
        unknown_words=SYNTHETIC_UNKNOWN_WORDS[task],
    )
    assert len(commands.labels) == 12
    for split, speakers in (("training", 7), ("validation", 1), ("testing", 4)):
        clips = commands.load(split)
        assert np.bincount(clips.labels).tolist() == [speakers] * 12
        assert len({speaker_of(name) for name in clips.names} - {None}) == speakers


@pytest.mark.parametrize("task", TASKS)
def test_every_speaker_says_each_keyword_and_one_unknown_word(folders, task):
    said = collections.defaultdict(list)
    for path in _clips(folders[task]):
        said[speaker_of(path.name)].append(path.parent.name)
    assert len(said) == MIN_SPEAKERS
    for words in said.values():
        assert set(SYNTHETIC_KEYWORDS[task]) < set(words)
        assert len(words) == 11
    unknown = {word for words in said.values() for word in words} - set(SYNTHETIC_KEYWORDS[task])
    assert unknown == set(SYNTHETIC_UNKNOWN_WORDS[task])


def test_persons_and_splits_are_those_of_the_description(folders):
    speakers = {entry["name"]: entry["split"] for entry in _description(folders)["speakers"]}
    for task in TASKS:
        for split in ("validation", "testing"):
            listed = (folders[task] / f"{split}_list.txt").read_text().split()
            held_out = {speaker_of(name) for name in listed}
            assert held_out == {name for name, its in speakers.items() if its == split}
            assert len(listed) == 11 * len(held_out)
        assert {speaker_of(path.name) for path in _clips(folders[task])} == set(speakers)


@pytest.mark.parametrize("task", TASKS)
def test_clips_are_sound(folders, task):
    for path in _clips(folders[task]):
        audio = _samples(path)
        assert audio.shape == (16000,)
        assert 0.1 < np.abs(audio).max() < 0.85
        power = np.square(audio).reshape(10, -1).mean(1)
        assert power.max() > 5 * power.min(), path
        assert 2.5 < np.average(np.arange(10), weights=power) < 6.5, path


@pytest.mark.parametrize("task", TASKS)
def test_no_two_clips_are_alike(folders, task):
    clips = {path.read_bytes() for path in _clips(folders[task])}
    assert len(clips) == 11 * MIN_SPEAKERS


@pytest.mark.parametrize("task", TASKS)
def test_noises_are_long_and_differ(folders, task):
    noises = {path.stem: _samples(path) for path in folders[task].glob("_background_noise_/*.wav")}
    assert len(noises) >= 6
    for name, noise in noises.items():
        assert len(noise) >= 20 * 16000, name
        assert 0.02 < np.sqrt(np.mean(noise**2)) < 0.2, name
        assert np.abs(noise).max() < 0.95, name
        assert np.sqrt(np.square(noise).reshape(-1, 16000).mean(1)).min() > 1e-3, name
    spectra = [np.abs(np.fft.rfft(noise.reshape(-1, 16000))).mean(0) for noise in noises.values()]
    similarity = np.corrcoef([np.log(spectrum[100:7900]) for spectrum in spectra])
    assert np.sort(similarity, axis=None)[-len(noises) - 1] < 0.999
    assert SpeechCommands(folders[task]).noise()


def test_babble_is_made_of_training_clips(folders):
    """So one of them is found in it by cross-correlation, and no held-out clip is."""

    def found(path):
        clip = _samples(path)
        correlation = np.fft.irfft(spectrum * np.conj(np.fft.rfft(clip, 2**19)))
        return np.abs(correlation).max() / np.linalg.norm(clip)

    babble = _samples(folders["english"] / "_background_noise_/babble.wav")
    spectrum = np.fft.rfft(babble, 2**19)
    held_out = (folders["english"] / "testing_list.txt").read_text().split()
    training = [path for path in _clips(folders["english"]) if path.name == "s0000_nohash_0.wav"]
    matches = [found(folders["english"] / name) for name in held_out]
    assert min(map(found, training)) > max(matches)


def test_progress_rises_to_one(built):
    shares = built[1]
    assert len(shares) > 2 * MIN_SPEAKERS
    assert 0 <= shares[0] < 0.1
    assert all(before < after for before, after in zip(shares, shares[1:], strict=False))
    assert shares[-1] == 1.0


def test_second_call_reuses_the_corpus_even_without_espeak(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    cache = folders["english"].parents[1]
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    shares = []
    assert synthetic_corpus(cache, speakers=MIN_SPEAKERS, progress=shares.append) == folders
    assert not shares
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_same_seed_same_bytes_whatever_was_built_before(folders, tmp_path):
    other = synthetic_corpus(tmp_path, speakers=MIN_SPEAKERS, seed=1)
    again = synthetic_corpus(tmp_path, speakers=MIN_SPEAKERS)
    assert _content(again["english"].parent) == _content(folders["english"].parent)
    assert again["english"].parent.name == folders["english"].parent.name
    assert other["english"].parent != again["english"].parent
    audio = [
        {path.read_bytes() for path in found["english"].parent.rglob("*.wav")}
        for found in (again, other)
    ]
    assert not audio[0] & audio[1]


@pytest.mark.slow
def test_fresh_interpreter_builds_the_same_bytes(folders, tmp_path):
    program = (
        "import sys; from swr_keras.audio import synthetic_corpus; "
        f"synthetic_corpus(sys.argv[1], speakers={MIN_SPEAKERS})"
    )
    # A larger environment moves the stack, where uninitialised memory would show.
    environment = {**os.environ, "PADDING": "x" * 3000}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment)
    assert _content(next(tmp_path.iterdir())) == _content(folders["english"].parent)


def test_interrupted_build_leaves_nothing(loader, tmp_path):
    def interrupt(share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic_corpus(tmp_path, speakers=MIN_SPEAKERS, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r'pip install "swr-keras\[synth\]"'):
        synthetic_corpus(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lacking_variant_is_named_before_work_begins(loader, monkeypatch, tmp_path):
    monkeypatch.setitem(VARIANTS, "testing", ["nobody"])
    with pytest.raises(ValueError, match="lacks voices.*\n  variant nobody"):
        synthetic_corpus(tmp_path, progress=lambda share: pytest.fail("work began"))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_cache(loader, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file can't be written"):
        synthetic_corpus(tmp_path / "file")


def test_default_cache(folders, monkeypatch, tmp_path):
    cached = folders["english"].parent
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "swr_keras").mkdir()
    (tmp_path / "swr_keras" / cached.name).symlink_to(cached)
    found = synthetic_corpus(speakers=MIN_SPEAKERS)
    assert found["mandarin"] == tmp_path / "swr_keras" / cached.name / "mandarin"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": 11}, "speakers must be at least 12. Received: 11"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_impossible_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        synthetic_corpus(tmp_path, **options)


def test_slow_speakers_hurry_for_long_words(loader):
    speaker = dataclasses.replace(
        draw_speakers(MIN_SPEAKERS, 0)[0], variant="f4", words_per_minute=80, warp=0.9
    )
    with Espeak() as espeak:
        voice = "cmn-Latn-pinyin"
        slow = espeak.say("xiang4shang4", voice, "f4", words_per_minute=80)
        assert len(slow) / espeak.sample_rate_hz > 1.2
        assert 0.7 < len(say_word(espeak, "xiang4shang4", voice, speaker)) / 16000 <= 0.95


def test_espeak_has_all_voices(loader):
    with Espeak() as espeak:
        variants = {variant for names in VARIANTS.values() for variant in names}
        espeak.check_names([*ACCENTS, "cmn-Latn-pinyin"], variants)
        assert len(variants) > 70
