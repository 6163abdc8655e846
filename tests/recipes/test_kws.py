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
from swr_keras.export import LiteModel
from swr_keras.recipes import kws

RATE_HZ = 16000


def settings(*arguments):
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["kws", *arguments])
    return kws.settings_from_flags()


@pytest.fixture
def corpus(tmp_path, write_corpus):
    return write_corpus(tmp_path / "english", ["yes", "no", "dog"])


def call_main(*arguments):
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["kws", *arguments])
    return kws.main(["kws"])


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
    assert "which is no file" in capsys.readouterr().err
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
        ("--base=a.keras --pretrained=speech_embedding", "either --base or --pretrained"),
        ("--base_epochs=0", "not a positive integer"),
        ("--tua=1", "Unknown command line flag 'tua'"),
    ],
)
def test_impossible_flags_are_refused(argument, message):
    with pytest.raises(flags.Error, match=message):
        settings("--data_dir=x", *argument.split(" "))


def test_flagfile_gives_the_same_settings(tmp_path):
    flagfile = tmp_path / "my.flags"
    flagfile.write_text("--data_dir=a,b\n# a comment\n--target_cost=0.1,0.3\n--test_snr_db=0,10\n")
    found = settings(f"--flagfile={flagfile}", "--seed=3")
    assert found == settings(
        "--data_dir=a,b", "--target_cost=0.1,0.3", "--test_snr_db=0,10", "--seed=3"
    )
    assert found.target_cost == (0.1, 0.3)
    assert found.test_snr_db == (0.0, 10.0)


def test_synthetic_speech_is_spotted_in_noise_unless_told_otherwise():
    assert settings().test_snr_db == (0.0, 10.0)
    assert settings().train_snr_db == (0.0, 20.0)
    assert settings("--test_snr_db=5,5").test_snr_db == (5.0, 5.0)
    assert settings("--data_dir=a").test_snr_db is None


def test_a_published_base_learns_slowly():
    assert settings("--data_dir=a", "--pretrained=speech_embedding").learning_rate == 1e-3
    assert settings("--data_dir=a").learning_rate == 1e-2
    chosen = settings("--pretrained=speech_embedding", "--learning_rate=0.1")
    assert chosen.learning_rate == 0.1


def test_few_clips_are_trained_on_more_often():
    found = settings("--data_dir=a")
    assert found.epochs("task_epochs", steps_per_epoch=100) == 12
    assert found.epochs("task_epochs", steps_per_epoch=3) == 67
    assert settings("--task_epochs=2").epochs("task_epochs", steps_per_epoch=3) == 2


def command(folders, output):
    return [
        *(sys.executable, "-m", "swr_keras.recipes.kws"),
        f"--data_dir={','.join(map(str, folders))}",
        *("--unknown_words=dog", "--target_cost=0.2", f"--output_dir={output}"),
        *("--base_epochs=2", "--supernet_epochs=2", "--task_epochs=2", "--search_steps=300"),
        *("--search_learning_rate=1e-2", "--calibration_clips=20", "--batch_size=16"),
        *("--nobaselines", "--test_snr_db=0,10"),
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, write_corpus):
    folder = tmp_path_factory.mktemp("corpora")
    return [
        write_corpus(folder / "english", ["yes", "no", "dog"]),
        write_corpus(folder / "mandarin", ["shi", "bu"]),
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, folders):
    """A finished run's folder and what it printed."""
    output = tmp_path_factory.mktemp("runs") / "run"
    done = subprocess.run(command(folders, output), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return output, done.stdout


@pytest.mark.slow
def test_command_from_recordings_to_verified_files(finished):
    output, printed = finished
    assert "[1/7] base (0:00 min elapsed" in printed
    assert "min left)" in printed
    assert json.loads((output / "base.json").read_text())["labels"] == [
        *("_silence_", "_unknown_", "no", "yes", "bu", "shi")
    ]
    base = keras.saving.load_model(output / "base.keras")
    for task, labels in (
        ("english", ["_silence_", "_unknown_", "no", "yes"]),
        ("mandarin", ["_silence_", "bu", "shi"]),
    ):
        metrics = json.loads((output / task / "metrics.json").read_text())
        assert metrics["labels"] == labels
        assert [row["method"] for row in metrics["results"]] == ["base", "SWR", "SWR int8"]
        assert metrics["settings"]["target_cost"] == [0.2]
        own = [f"{task}: {stage}" for stage in ("super-net", "policy search", "SWR at c = 0.2")]
        assert list(metrics["seconds"]) == list(metrics["histories"]) == ["base", *own]
        assert metrics["results"][1]["achieved_cost"] <= 0.2
        assert sum(map(sum, metrics["confusions"][0]["counts"])) == metrics["clips"]["testing"]
        assert task in printed
        folder = output / task / "c0.2"
        policy = swr.Policy.from_json((folder / "policy.json").read_text())
        assert policy.achieved_cost == metrics["results"][1]["achieved_cost"]
        merged = keras.saving.load_model(folder / "model.keras")
        again = swr.TaskModel.from_pack(base, swr.TaskPack.load(folder / "task.swr.h5")).merge()
        x = np.random.default_rng(0).normal(-5.0, 3.0, (4, 101, 40, 1)).astype("float32")
        np.testing.assert_array_equal(again(x), merged(x))
        int8 = LiteModel(folder / f"{task}_c0_2_int8.tflite", engine="tflm")
        assert int8.predict(x).shape == (4, len(labels))
        manifest = json.loads((folder / f"{task}_c0_2_int8.json").read_text())
        assert manifest["labels"] == labels
        assert len(manifest["calibration"]) == min(20, metrics["clips"]["training"])
        assert manifest["accuracy"]["int8"] == metrics["results"][2]["testing_accuracy"]
        report = (output / "report.html").read_text()
        assert task in report
        assert "Keyword spotting in noise, at an SNR of 0 to 10 dB" in report
    assert not [path for path in output.rglob(".*")]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["english-super-net", "mandarin-SWR-at-c-0.2"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(stage, finished, folders, tmp_path):
    output = tmp_path / "run"
    with subprocess.Popen(command(folders, output), stdout=subprocess.DEVNULL) as running:
        while not list((output / "state").glob(f"{stage}-*.h5")):
            assert running.poll() is None
            time.sleep(0.02)
        running.kill()
    done = subprocess.run(command(folders, output), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Going on with the run" in done.stdout
    assert "base, 100% done before" in done.stdout
    for task in ("english", "mandarin"):
        for name in ("task.swr.h5", f"{task}_c0_2_int8.tflite", "policy.json"):
            path = f"{task}/c0.2/{name}"
            assert (output / path).read_bytes() == (finished[0] / path).read_bytes(), path


@pytest.mark.slow
def test_a_finished_run_is_left_alone_by_other_settings(finished, folders):
    before = {path: path.read_bytes() for path in finished[0].rglob("*") if path.is_file()}
    done = subprocess.run(
        [*command(folders, finished[0]), "--seed=5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "seed: 0 there, 5 now" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_help_reads_well():
    done = subprocess.run(
        [sys.executable, "-m", "swr_keras.recipes.kws", "--helpshort"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "from folders of recordings to verified int8 models" in done.stdout
    assert "--target_cost" in done.stdout
    assert "swr_keras.audio" not in done.stdout
