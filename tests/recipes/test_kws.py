import dataclasses
import io
import json
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import soundfile
from absl import flags

import swr_keras as swr
from swr_keras.audio import MicroFrontend
from swr_keras.device import Bundle, read_bundle_manifest
from swr_keras.export import LiteModel, describe_front_end
from swr_keras.jobs.job import Job
from swr_keras.jobs.run import Run
from swr_keras.recipes import kws, native_lines
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import parse

RATE_HZ = 16000


def settings(*arguments):
    return parse(KwsSettings, ["kws", *arguments]).resolved()


@pytest.fixture
def corpus(tmp_path, write_corpus):
    return write_corpus(tmp_path / "english", ["yes", "no", "dog"])


def call_main(*arguments):
    return kws.main(["kws", *arguments])


def damage(corpus, kind):
    """Makes one input bad and returns what the message must name."""
    path = corpus / "yes" / "00000005_nohash_0.wav"
    samples = np.zeros(RATE_HZ, "float32")
    if kind == "unreadable":
        path.write_bytes(b"not audio at all")
    elif kind == "empty":
        soundfile.write(path, samples[:0], RATE_HZ)
    elif kind == "stereo":
        soundfile.write(path, np.stack([samples, samples], 1), RATE_HZ)
    elif kind == "wrong rate":
        soundfile.write(path, samples, 8000)
    elif kind == "too short":
        soundfile.write(path, samples[:100], RATE_HZ)
    elif kind == "nan":
        soundfile.write(path, np.full(RATE_HZ, np.nan, "float32"), RATE_HZ, subtype="FLOAT")
    return path.name


@pytest.mark.parametrize(
    "kind", ["unreadable", "empty", "stereo", "wrong rate", "too short", "nan"]
)
def test_a_bad_clip_stops_the_command_before_anything_is_written(corpus, kind, tmp_path, capsys):
    name = damage(corpus, kind)
    output = tmp_path / "run"
    assert call_main(f"--data_dir={corpus}", f"--output_dir={output}") == 1
    assert name in capsys.readouterr().err
    assert not output.exists()


def test_other_bad_inputs_stop_the_command_too(corpus, tmp_path, capsys):
    output = tmp_path / "run"
    common = f"--output_dir={output}"
    assert call_main("--data_dir=/no/such/folder", common) == 1
    assert "'/no/such/folder', which is no folder" in capsys.readouterr().err
    assert call_main(f"--data_dir={corpus}", "--unknown_words=cat", common) == 1
    assert "--unknown_words names words that no folder has: ['cat']" in capsys.readouterr().err
    assert call_main(f"--data_dir={corpus},{corpus}", common) == 1
    assert "names must differ" in capsys.readouterr().err
    assert call_main(f"--data_dir={corpus}", f"--base={tmp_path}/none.keras", common) == 1
    assert "There is no such file" in capsys.readouterr().err
    for path in (corpus / "no").iterdir():
        path.unlink()
    for split in ("validation", "testing"):
        path = corpus / f"{split}_list.txt"
        path.write_text("".join(r for r in path.open() if not r.startswith("no/")))
    assert call_main(f"--data_dir={corpus}", "--keywords=no", common) == 1
    assert "without clips: \n  no\n" in capsys.readouterr().err
    assert not output.exists()


def test_a_speaker_in_two_splits_stops_the_command(corpus, tmp_path, capsys):
    with (corpus / "validation_list.txt").open("a") as file:
        file.write("yes/00000006_nohash_0.wav\n")
    assert call_main(f"--data_dir={corpus}", f"--output_dir={tmp_path / 'run'}") == 1
    assert "00000006" in capsys.readouterr().err


def test_a_folder_with_files_is_never_overwritten(corpus, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()
    assert call_main(f"--data_dir={corpus}", f"--output_dir={tmp_path / 'run'}") == 1
    assert "exists already and holds files of no run" in capsys.readouterr().err
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--target_cost=1.5", "from 0 to 1"),
        ("--target_cost=low", "could not convert"),
        ("--target_cost=0.1,0.10", "given twice"),
        ("--test_snr_db=10,0", "lowest and the highest"),
        ("--test_snr_db=nan,nan", "lowest and the highest"),
        ("--data_dir=", "names no folder"),
        ("--data_dir=a,,b", "names no folder"),
        ("--cost_weight=0", "positive factor"),
        ("--bn_mode=all", "one of"),
        ("--features=chroma", "one of"),
        ("--base=a.keras --pretrained=speech_embedding", "either `base` or `pretrained`"),
        ("--base_epochs=0", "at least 1"),
        ("--clip_seconds=nan", "must be finite"),
        ("--random_policies=some", "some"),
        ("stray", "Unknown arguments"),
        ("--tua=1", "Unknown command line flag 'tua'"),
    ],
)
def test_impossible_flags_are_refused(argument, message):
    with pytest.raises((flags.Error, ValueError), match=message):
        settings("--data_dir=x", *argument.split(" "))


def test_flagfile_gives_the_same_settings(tmp_path):
    flagfile = tmp_path / "my.flags"
    flagfile.write_text("--data_dir=a,b\n# a comment\n--target_cost=0.1,0.3\n--test_snr_db=0,10\n")
    found = settings(f"--flagfile={flagfile}", "--seed=3")
    assert found == settings(
        "--data_dir=a,b", "--target_cost=0.1,0.3", "--test_snr_db=0,10", "--seed=3"
    )
    assert found.transfer.target_cost == (0.1, 0.3)
    assert found.noise.test_snr_db == (0.0, 10.0)


def test_synthetic_speech_is_spotted_in_noise_unless_told_otherwise():
    assert settings().noise.test_snr_db == (0.0, 10.0)
    assert settings().noise.train_snr_db == (0.0, 20.0)
    assert settings("--test_snr_db=5,5").noise.test_snr_db == (5.0, 5.0)
    assert settings().noise.base_snr_db == (0.0, 20.0)
    assert settings().noise.held_out_noise == pytest.approx(1 / 3)
    own = settings("--data_dir=a").noise
    assert (own.test_snr_db, own.base_snr_db, own.held_out_noise) == (None, None, 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diverging(Job):
    """A job whose loss is NaN."""

    title = "base"

    def settings(self):
        return {}

    def run(self, place):
        raise FloatingPointError("The loss is nan.")


def test_a_job_that_fails_is_told_with_its_log(corpus, tmp_path, monkeypatch, capsys):
    def plan(settings, tasks, base_task):
        return [Diverging(task=base_task.name, data=base_task.digest(), seed=0)]

    monkeypatch.setattr("swr_keras.recipes.kws_run.plan", plan)
    output = tmp_path / "run"
    assert call_main(f"--data_dir={corpus}", f"--output_dir={output}", "--workers=1") == 1
    said = capsys.readouterr()
    assert "[1/1] base: FAILED (FloatingPointError: The loss is nan.; see " in said.out
    assert "Error: 1 jobs were not done; run again to try them:" in said.err
    (log,) = (output / "jobs").glob("base-*/log.txt")
    assert str(log) in said.err
    assert "Traceback" in log.read_text()


def command(folders, output, workers=1):
    return [
        *(sys.executable, "-m", "swr_keras.recipes.kws", f"--workers={workers}"),
        f"--data_dir={','.join(map(str, folders))}",
        *("--unknown_words=dog", "--target_cost=0.2", f"--output_dir={output}"),
        *("--base_epochs=2", "--supernet_epochs=2", "--task_epochs=2", "--search_steps=300"),
        *("--search_learning_rate=1e-2", "--calibration_clips=20", "--batch_size=16"),
        *("--nobaselines", "--test_snr_db=0,10", "--tries=6"),
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, folders):
    """A finished run's folder and what it printed, which has no line of native code."""
    output = tmp_path_factory.mktemp("runs") / "run"
    done = subprocess.run(command(folders, output), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    written = (done.stdout + done.stderr).encode().splitlines()
    assert not [line for line in written if native_lines.NATIVE.match(line)]
    return output, done.stdout


@pytest.mark.slow
def test_command_from_recordings_to_verified_files(finished):
    output, printed = finished
    assert "[1/12] base: done in" in printed
    assert "min left)" in printed
    assert json.loads((output / "base.json").read_text())["labels"] == [
        *("_silence_", "_unknown_", "no", "yes", "bu", "shi")
    ]
    base = keras.saving.load_model(output / "base.keras")
    run = Run.load(output)
    assert run.settings["target_cost"] == [0.2]
    assert run.settings["learning_rate"] == 0.02
    assert run.base.name == base.name
    report = (output / "report.html").read_text()
    bundle = Bundle.load(output / "bundle_c0_2_int8.bin")
    assert bundle.names == ("base", *(facts.name for facts in run.tasks))
    described = read_bundle_manifest(output / "bundle_c0_2_int8.bin", bundle)
    assert described["front_end"] == describe_front_end(MicroFrontend())
    assert tuple(described["tasks"]) == bundle.names
    assert "bundle_c0_2_int8.bin has base and english and mandarin for TFLite Micro" in printed
    assert "Keyword spotting in noise, at an SNR of 0 to 10 dB" in report
    for facts, labels in zip(
        run.tasks,
        (("_silence_", "_unknown_", "no", "yes"), ("_silence_", "bu", "shi")),
        strict=True,
    ):
        task = facts.name
        assert facts.labels == labels
        tried, trained, int8 = run.of_task(task)
        assert [each.name for each in (tried, trained, int8)] == ["base", "SWR", "SWR int8"]
        assert trained.achieved_cost <= 0.2
        assert sum(map(sum, int8.confusion)) == facts.examples["testing"]
        assert f"{task}: accuracy on" in printed
        assert task in report
        folder = output / task / "c0.2"
        policy = swr.Policy.from_json((folder / "policy.json").read_text())
        assert policy.achieved_cost == trained.achieved_cost
        merged = keras.saving.load_model(folder / "model.keras")
        again = swr.TaskPack.load(next(folder.glob("task.swr.*"))).on(base)
        x = np.random.default_rng(0).normal(-5.0, 3.0, (4, 98, 40, 1)).astype("float32")
        np.testing.assert_array_equal(swr.merge(again)(x), merged(x))
        model = LiteModel(folder / f"{task}_c0_2_int8.tflite", engine="tflm")
        assert model.predict(x).shape == (4, len(labels))
        bundled = LiteModel(bundle.model(task), engine="tflm")
        np.testing.assert_array_equal(bundled.predict(x), model.predict(x))
        assert bundle.labels(task) == labels
        manifest = json.loads((folder / f"{task}_c0_2_int8.json").read_text())
        assert manifest["labels"] == list(labels)
        assert len(manifest["calibration"]) == min(20, facts.examples["training"])
        assert manifest["accuracy"]["int8"] == int8.testing_accuracy
    assert not [path for path in output.rglob(".*")]
    assert not [path for path in output.rglob("states") if any(path.iterdir())]


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_with_the_same_bytes(finished, folders, tmp_path):
    output = tmp_path / "run"
    for state in ("english-policy-search-*/states/super-net.*", "mandarin-SWR-*/states/training.*"):
        with subprocess.Popen(command(folders, output), stdout=subprocess.DEVNULL) as running:
            while not list((output / "jobs").glob(state)):
                assert running.poll() is None
                time.sleep(0.02)
            running.kill()
    done = subprocess.run(command(folders, output), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Going on with the run" in done.stdout
    assert "of 12 jobs were done before" in done.stdout
    assert "% done before" in done.stdout
    for task in ("english", "mandarin"):
        paths = [f"{task}/c0.2/{task}_c0_2_int8.tflite", f"{task}/c0.2/policy.json"]
        pack = next((output / task / "c0.2").glob("task.swr.*"))
        for path in (*paths, pack.relative_to(output)):
            assert (output / path).read_bytes() == (finished[0] / path).read_bytes(), path


@pytest.mark.slow
def test_jobs_side_by_side_find_what_jobs_in_turn_find(finished, folders, tmp_path):
    output = tmp_path / "run"
    done = subprocess.run(command(folders, output, 2), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[12/12] " in done.stdout
    found, expected = Run.load(output), Run.load(finished[0])
    assert [result.title for result in found.results] == [r.title for r in expected.results]
    assert {path.name for path in output.rglob("*.tflite")} == {
        path.name for path in finished[0].rglob("*.tflite")
    }
    again = subprocess.run(command(folders, output, 2), capture_output=True, text=True, check=False)
    assert "12 of 12 jobs were done before" in again.stdout


@pytest.mark.slow
def test_a_finished_run_is_left_alone_by_other_settings_and_does_no_job_twice(finished, folders):
    before = {path: path.read_bytes() for path in finished[0].rglob("*") if path.is_file()}
    again = command(folders, finished[0])
    done = subprocess.run([*again, "--seed=5"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "seed: 0 there, 5 now" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "12 of 12 jobs were done before" in done.stdout
    assert "Epoch" not in done.stdout


def test_only_what_matters_is_written_to_the_terminal():
    lines = [
        b"I0000 00:00:1795712885.774509   18446 port.cc:153] oneDNN custom operations are on.\n",
        b"WARNING: All log messages before absl::InitializeLog() is called are written\n",
        b"fully_quantize: 0, inference_type: 6, input_inference_type: INT8\n",
        b"W0000 00:00:1795714469.192787   31027 tf_tfl_flatbuffer_helpers.cc:364] Ignored\n",
        b"Error: a clip is damaged\n",
        b"UserWarning: I0000 is no reason to worry\n",
        b"F0000 00:00:1795714469.192787   31027 abort.cc:1] the end\n",
    ]
    kept = io.BytesIO()
    native_lines.copy(lines, kept)
    assert kept.getvalue().splitlines(keepends=True) == lines[4:]


def test_help_reads_well():
    done = subprocess.run(
        [sys.executable, "-m", "swr_keras.recipes.kws", "--helpshort"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "from folders of recordings to verified int8 models" in done.stdout
    assert "--target_cost" in done.stdout
