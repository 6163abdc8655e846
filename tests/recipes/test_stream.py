import dataclasses
import json
import re
import shutil
import sys

import keras
import numpy as np
import pytest
import soundfile
from keras import layers

from swr_keras.audio import EmbeddingMel, LogMel, MicroFrontend
from swr_keras.audio.keyword_task import Hearing
from swr_keras.device import Bundle, DeviceTask, write_bundle
from swr_keras.export import convert_int8, describe_front_end
from swr_keras.files import write_json
from swr_keras.recipes import stream
from swr_keras.recipes.audio_settings import Corpora, Noise
from swr_keras.recipes.kws_corpora import load_tasks
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import as_flat

RATE_HZ = 16000
TONES_HZ = {"dog": 300, "yes": 700, "no": 1100}
NAME = "bundle_c0_1_int8"
# The test network sees a word as long as any of it is in its window.
HEARING = ("--threshold=0.7", "--refractory_ms=2000")


def fitted(task):
    """A network that tells the largest spectra of a task's classes apart."""
    batches = [batch for _, batch in zip(range(12), task.training(16), strict=False)]
    x = np.concatenate([np.asarray(features) for features, _ in batches])
    y = np.concatenate([np.asarray(labels) for _, labels in batches])
    means = x.max(axis=1)[..., 0]
    centre = means.mean(axis=0)
    wanted = 12.0 * np.eye(task.num_classes)[y]
    gram = (means - centre).T @ (means - centre) + np.eye(means.shape[1])
    weights = np.linalg.solve(gram, (means - centre).T @ (wanted - wanted.mean(axis=0)))
    inputs = keras.Input(task.input_shape)
    pooled = layers.Flatten()(layers.MaxPooling2D((task.input_shape[0], 1))(inputs))
    model = keras.Model(inputs, layers.Dense(task.num_classes)(pooled))
    model.layers[-1].set_weights([weights, wanted.mean(axis=0) - centre @ weights])
    return convert_int8(model, x)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_corpus):
    return write_corpus(tmp_path_factory.mktemp("corpora") / "english", ["dog", "yes", "no"])


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    """The folder of a run: a bundle of two tasks and the base, and its settings."""
    folder = tmp_path_factory.mktemp("run")
    settings = KwsSettings(
        corpora=Corpora(data_dir=(str(corpus),), unknown_words=("dog",)),
        noise=Noise(train_snr_db=(5.0, 20.0), test_snr_db=(10.0, 20.0)),
        features="log_mel",
    )
    hearing = Hearing(LogMel(), train_snr_db=(5.0, 20.0))
    (task,) = load_tasks(settings.corpora, hearing, settings.seed)
    model = fitted(task)
    bundle = Bundle.build(
        {name: DeviceTask(model, task.labels) for name in ("base", "english", "welsh")}
    )
    write_bundle(folder, bundle, name=NAME, front_end=describe_front_end(LogMel()))
    write_json(folder / "settings.json", as_flat(settings))
    return folder


@pytest.fixture
def own_run(run, tmp_path):
    """The same to be damaged."""
    for name in (f"{NAME}.bin", f"{NAME}.json", "settings.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """ "yes" at 2 s, a word that is none at 4 s and "no" at 6 s, each in the middle of a second."""
    path = tmp_path_factory.mktemp("audio") / "kitchen.wav"
    soundfile.write(path, said({2: "yes", 4: "dog", 6: "no"}), RATE_HZ)
    return path


def said(words, seconds=9):
    time = np.arange(seconds * RATE_HZ) / RATE_HZ
    audio = 0.01 * np.random.default_rng(5).normal(size=len(time))
    for start, word in words.items():
        envelope = np.exp(-(((time - start - 0.5) / 0.2) ** 2))
        audio += 0.3 * np.sin(2 * np.pi * TONES_HZ[word] * time) * envelope
    return audio.astype(np.float32)


def call(folder, *arguments):
    return stream.main(["stream", f"--bundle={folder / NAME}.bin", *map(str, arguments)])


def detections(printed):
    """Returns the seconds, task and word of each printed line of a detection."""
    lines = re.findall(r"^ +(\d+):([\d.]+)  (\S+) +(\S+) +[\d.]+$", printed, re.MULTILINE)
    return [(60 * int(m) + float(s), task, word) for m, s, task, word in lines]


@pytest.mark.parametrize("stride", [2, 10])
def test_a_recording_says_what_was_said_when(run, recording, stride, capsys):
    assert call(run, recording, "--task=english", f"--stride={stride}", *HEARING) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{recording}\n")
    found = detections(printed)
    assert [(task, word) for _, task, word in found] == [("english", "yes"), ("english", "no")]
    assert found[0][0] == pytest.approx(3, abs=0.6)
    assert found[1][0] == pytest.approx(7, abs=0.6)


def test_all_engines_hear_the_same(run, recording, capsys):
    pytest.importorskip("tflite_micro", reason="needs the extra swr-keras[micro]")
    printed = []
    for engine in ("litert", "tflm", *(["c"] if shutil.which("cc") else [])):
        assert call(run, recording, "--task=english", f"--engine={engine}") == 0
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1
    assert detections(printed[0])


def test_all_tasks_but_the_base_listen_to_a_folder_and_a_file(run, recording, tmp_path, capsys):
    soundfile.write(tmp_path / "b.wav", said({}, 3), RATE_HZ)
    soundfile.write(tmp_path / "a.flac", said({1: "yes"}, 3), RATE_HZ)
    (tmp_path / "notes.txt").touch()
    assert call(run, tmp_path, recording, *HEARING) == 0
    printed = capsys.readouterr().out
    quiet = printed.index(str(tmp_path / "b.wav"))
    assert printed.index(str(tmp_path / "a.flac")) < quiet < printed.index(str(recording))
    assert "b.wav\n  nothing detected\n" in printed
    assert {task for _, task, _ in detections(printed)} == {"english", "welsh"}
    assert call(run, tmp_path / "a.flac", "--task=base,welsh", *HEARING) == 0
    assert {each[1] for each in detections(capsys.readouterr().out)} == {"base", "welsh"}


def test_a_threshold_is_chosen_on_validation_clips_and_measured_on_test_clips(
    run, recording, tmp_path, capsys
):
    curve = tmp_path / "curve.png"
    asked = ("--task=english", "--false_accepts_per_hour=60", "--stream_minutes=1")
    assert call(run, recording, *asked, f"--curve={curve}", "--seed=3") == 0
    printed = capsys.readouterr().out
    threshold = float(re.search(r"^english: threshold ([\d.]+)$", printed, re.MULTILINE)[1])
    assert 0 < threshold <= 1
    rows = re.findall(r"^  (\w+) clips, (.*)$", printed, re.MULTILINE)
    assert [split for split, _ in rows] == ["validation", "testing"]
    for _, row in rows:
        assert "1 min, seed 3, 10 to 20 dB, 8 keywords and 4 unknown words" in row
        assert float(re.search(r"recall ([\d.]+)%", row)[1]) >= 75
    assert float(re.search(r"([\d.]+) false accepts an hour", rows[0][1])[1]) <= 60
    assert re.search(r"^    yes +\d of +4 ", printed, re.MULTILINE)
    assert curve.read_bytes().startswith(b"\x89PNG")
    assert "single false accept" not in printed
    assert detections(printed)


def test_a_stream_too_short_for_a_rate_is_remarked(run, capsys):
    asked = ("--task=english", "--false_accepts_per_hour=1", "--stream_minutes=0.2")
    assert call(run, *asked) == 0
    assert "a single false accept in 0.2 min is 300 an hour" in capsys.readouterr().out


def test_recordings_can_be_named(own_run, corpus, capsys):
    (own_run / "settings.json").unlink()
    asked = ("--task=english", "--threshold=0.7", "--stream_minutes=1", "--snr_db=20,20")
    named = (f"--data_dir={corpus}", "--unknown_words=dog", f"--curve={own_run}/curve.svg")
    assert call(own_run, *asked, *named) == 0
    printed = capsys.readouterr().out
    assert "english: threshold 0.7000\n" in printed
    assert "20 to 20 dB" in printed
    assert b"false accepts per hour" in (own_run / "curve.svg").read_bytes()


def missing(folder):
    (folder / f"{NAME}.bin").unlink()


def foreign(folder):
    (folder / f"{NAME}.bin").write_bytes(b"no bundle at all" * 100)


def without_manifest(folder):
    (folder / f"{NAME}.json").unlink()


def change_manifest(**changes):
    def change(folder):
        path = folder / f"{NAME}.json"
        write_json(path, json.loads(path.read_text()) | changes)

    return change


def hearing(**parameters):
    described = describe_front_end(dataclasses.replace(LogMel(), **parameters))
    return change_manifest(front_end=described)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (missing, "There is no such file"),
        (foreign, "can't be read as a bundle"),
        (without_manifest, "expected the manifest of a bundle"),
        (change_manifest(format="other/1"), "whose format is"),
        (change_manifest(sha256="0"), "describes another bundle"),
        (change_manifest(front_end=None), "Expected the `class`"),
        (change_manifest(front_end={"class": "Ears", "parameters": {}}), "Expected the `class`"),
        (hearing(num_mels=32), "the front end gives (32, 1)"),
        (
            change_manifest(front_end=describe_front_end(EmbeddingMel())),
            "Received: EmbeddingMel",
        ),
    ],
)
def test_a_bundle_that_cannot_be_used_is_refused(damage, message, own_run, recording, capsys):
    damage(own_run)
    assert call(own_run, recording) == 1
    assert message in capsys.readouterr().err


def write(path, samples=2 * RATE_HZ, rate_hz=RATE_HZ, channels=1):
    soundfile.write(path, np.full((samples, channels), 0.1, "float32"), rate_hz)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "can't be read"),
        (lambda path: write(path, samples=0), "0 samples"),
        (lambda path: write(path, rate_hz=44100), "the sample rate is 44100 Hz, expected 16000"),
        (lambda path: write(path, channels=2), "2 channels, expected 1"),
        (lambda path: write(path, samples=8000), "holds 0.5 s, but the networks see 1.015 s"),
        (lambda path: path.write_bytes(b"RIFF but no WAV"), "can't be read as audio"),
        (lambda path: path.mkdir(), "holds no recordings"),
    ],
)
def test_a_recording_that_cannot_be_used_is_named(make, message, run, tmp_path, capsys):
    path = tmp_path / "bad.wav"
    make(path)
    assert call(run, path) == 1
    error = capsys.readouterr().err
    assert message in error
    assert str(path) in error


def test_recordings_beside_a_bad_one_are_heard(run, recording, tmp_path, capsys):
    bad = tmp_path / "bad.wav"
    bad.touch()
    assert call(run, bad, recording, *HEARING) == 1
    printed = capsys.readouterr()
    assert detections(printed.out)
    assert "1 of 2 recordings can't be used" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to listen to"),
        (["x.wav", "--task=french"], "which has ['base', 'english', 'welsh']"),
        (["x.wav", "--task="], "--task names tasks of the bundle"),
        (["x.wav", "--engine=none"], "one of"),
        (["x.wav", "--stride=0"], "at least 1"),
        (["x.wav", "--threshold=0"], "must be above 0"),
        (["x.wav", "--threshold=0.5", "--false_accepts_per_hour=1"], "either given or chosen"),
        (["--curve=curve.pdf"], ".png or .svg"),
        (["--curve=/no/such/folder/curve.png"], "folder that exists"),
        (["--curve=curve.png", "--snr_db=5,0"], "lowest and the highest"),
        (["--false_accepts_per_hour=-1"], "at least 0"),
        (["--false_accepts_per_hour=1", "--data_dir=/no/such/folder"], "is no folder"),
        (["--false_accepts_per_hour=1", "--task=welsh"], "of the recordings"),
    ],
)
def test_impossible_flags_are_refused(arguments, message, run, capsys):
    assert call(run, *arguments) == 1
    assert message in capsys.readouterr().err


def test_other_recordings_than_the_tasks_are_refused(own_run, corpus, capsys):
    asked = ("--task=english", "--false_accepts_per_hour=1")
    assert call(own_run, *asked, f"--data_dir={corpus}") == 1
    assert "'english' of the bundle has the classes ['_silence_', '_unknown_', 'no', 'yes']" in (
        capsys.readouterr().err
    )
    (own_run / "settings.json").unlink()
    assert call(own_run, *asked) == 1
    assert "Pass --data_dir" in capsys.readouterr().err
    (own_run / "settings.json").write_text('{"data_dir": 5}')
    assert call(own_run, *asked) == 1
    assert "['data_dir'] must be a list. Received: 5" in capsys.readouterr().err


class Microphone:
    """Stands in for the package: says what it is given, then the person presses Ctrl-C."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, audio):
        self.audio = audio

    def InputStream(self, samplerate, channels, dtype, blocksize):
        assert (samplerate, channels, dtype) == (RATE_HZ, 1, "float32")
        if self.audio is None:
            raise self.PortAudioError("Error querying device -1")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def read(self, samples):
        if not len(self.audio):
            raise KeyboardInterrupt
        block, self.audio = self.audio[:samples, None], self.audio[samples:]
        return block, False


def test_the_microphone_is_heard_until_interrupted(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(said({2: "yes", 6: "no"})))
    assert call(run, "--microphone", "--task=english", *HEARING) == 130
    printed = capsys.readouterr()
    assert [word for *_, word in detections(printed.out)] == ["yes", "no"]
    assert printed.err.strip() == "Interrupted."


def test_no_microphone_is_said_clearly(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(None))
    assert call(run, "--microphone") == 1
    assert "Error querying device -1" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert call(run, "--microphone") == 1
    assert "pip install 'swr-keras[microphone]'" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    assert call(run, "--microphone") == 1
    assert "finds no PortAudio" in capsys.readouterr().err


def test_a_bundle_that_never_heard_a_stream_is_remarked(own_run, recording, capsys):
    pytest.importorskip("pymicro_features", reason="needs the extra swr-keras[microfrontend]")
    for seconds, remarked in ((0.0, True), (2.0, False)):
        described = describe_front_end(MicroFrontend(warm_up_seconds=seconds))
        change_manifest(front_end=described)(own_run)
        assert call(own_run, recording, *HEARING) == 0
        assert ("--warm_up_seconds=2" in capsys.readouterr().out) == remarked


def test_help_tells_of_recordings(capsys):
    assert stream.main(["stream", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "kitchen.wav" in printed
    assert "--false_accepts_per_hour" in printed
