import platform
import subprocess
import sys

import numpy as np
import pytest

from swr_keras.audio.espeak import Espeak


@pytest.fixture
def loader():
    return pytest.importorskip("espeakng_loader", reason="needs the extra `synth`")


@pytest.fixture
def espeak(loader):
    with Espeak() as running:
        yield running


def test_speech(espeak):
    speech = espeak.say("left", "en-US", "m3")
    assert speech.dtype == np.float32
    assert 0.2 < len(speech) / espeak.sample_rate_hz < 1
    assert 0.01 < np.abs(speech).max() < 1


def test_options_change_the_speech(espeak):
    def say(voice="en-US", variant="m3", **options):
        return espeak.say("down", voice, variant, **options).tobytes()

    said = [
        say(),
        say(voice="en-GB-scotland"),
        say(variant="f1"),
        say(words_per_minute=120),
        say(pitch=70),
        say(pitch_range=90),
    ]
    assert len(set(said)) == len(said)
    assert len(say(words_per_minute=120)) > len(say(words_per_minute=240))


def test_mandarin_reads_tone_digits(espeak):
    """As tones, not as numbers, which would take longer than the syllable."""
    lengths = [len(espeak.say(f"ma{tone}", "cmn-Latn-pinyin", "m3")) for tone in range(1, 6)]
    assert max(lengths) < 0.7 * espeak.sample_rate_hz
    assert len(set(lengths)) > 1


def test_fresh_processes_say_the_same(loader):
    def say_all():
        with Espeak() as espeak:
            return [
                espeak.say(word, voice, variant).tobytes()
                for voice in ("en", "en-US-nyc")
                for variant in ("m3", "f1", "klatt3")
                for word in ("yes", "no", "seven")
            ]

    assert say_all() == say_all()


@pytest.mark.parametrize(
    ("voice", "variant", "missing"),
    [
        ("en-GB", "m3", "voice en-GB"),
        ("en-us", "m3", "voice en-us"),
        ("en-US", "nobody", "variant nobody"),
        ("en-US", "M3", "variant M3"),
    ],
)
def test_unknown_names(espeak, voice, variant, missing):
    with pytest.raises(ValueError, match=f"lacks voices.*\n  {missing}"):
        espeak.say("yes", voice, variant)


@pytest.mark.parametrize(
    ("option", "value"),
    [("words_per_minute", 79), ("words_per_minute", 451), ("pitch", 100), ("pitch_range", -1)],
)
def test_numbers_out_of_range(espeak, option, value):
    with pytest.raises(ValueError, match=f"{option} must be .* Received: {option}={value}"):
        espeak.say("yes", "en", "m3", **{option: value})


def test_nothing_to_say(espeak):
    with pytest.raises(ValueError, match="says nothing for ' ' by en[+]m3"):
        espeak.say(" ", "en", "m3")


def test_missing_package_names_the_extra_and_the_platform(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ImportError, match=r'pip install "swr-keras\[synth\]"') as error:
        Espeak()
    assert f"{platform.system()} {platform.machine()}" in str(error.value)


def test_library_that_does_not_load(loader, monkeypatch, tmp_path):
    (tmp_path / "library").write_text("not a library")
    monkeypatch.setattr(loader, "get_library_path", lambda: str(tmp_path / "library"))
    with pytest.raises(ChildProcessError, match="ended.*library.*\nReinstall it"):
        Espeak()


def test_missing_voice_data(loader, monkeypatch, tmp_path):
    monkeypatch.setattr(loader, "get_data_path", lambda: str(tmp_path / "espeak-ng-data"))
    with pytest.raises(ChildProcessError, match="espeak-ng can't read its data"):
        Espeak()


def test_installation_at_the_end_of_a_long_path(loader, monkeypatch, tmp_path):
    folder = tmp_path.joinpath(*["folder" * 10] * 4)
    folder.mkdir(parents=True)
    (folder / "espeak-ng-data").symlink_to(loader.get_data_path())
    monkeypatch.setattr(loader, "get_data_path", lambda: str(folder / "espeak-ng-data"))
    with Espeak() as espeak:
        assert len(espeak.say("yes", "en", "m3")) > 0


def test_process_that_ends_meanwhile(loader, monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(ChildProcessError, match="ended"):
        with Espeak() as espeak:
            started[0].kill()
            started[0].wait()
            espeak.say("yes", "en", "m3")


def test_use_after_the_end(espeak):
    espeak.close()
    with pytest.raises(ValueError, match="closed"):
        espeak.say("yes", "en", "m3")
