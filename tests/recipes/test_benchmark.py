import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from absl import flags

from swr_keras.jobs.benchmark_results import BenchmarkResults
from swr_keras.jobs.record import read_records
from swr_keras.methods import SWR, Method
from swr_keras.recipes import benchmark
from swr_keras.recipes.benchmark_keywords import KeywordBenchmark
from swr_keras.recipes.benchmark_methods import METHODS, MULTILINGUAL, NAMES, Shared, make
from swr_keras.recipes.setting_flags import parse
from swr_keras.tasks import TaskPack

ROOT = pathlib.Path(__file__).parents[2]


def settings(*arguments):
    return parse(KeywordBenchmark, ["benchmark", *arguments])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--methods=swr,taps9", r"no methods \['taps9'\]. Choose among multilingual"),
        ("--methods=swr,swr", "each once"),
        ("--methods=", "one or more methods"),
        ("--backbones=resnet", r"no backbones \['resnet'\]"),
        ("--backbones=res15,res15", "each once"),
        ("--seeds=", "one or more"),
        ("--seeds=-1", "at least 0"),
        ("--seeds=one", "seeds"),
        ("--tune=0.1", "two or more rates"),
        ("--tune=0.1,0", "positive rates"),
        ("--tune=0.1,nan", "positive rates"),
        ("--learning_rates=swr", "<method>=<rate>"),
        ("--learning_rates=swr=fast", "<method>=<rate>"),
        ("--learning_rates=piggy=0.1", "<method>=<rate>"),
        ("--learning_rates=swr=-1", "<method>=<rate>"),
        ("--engine=slurm", "one of"),
        ("--address=ray://a:1", "is for engine='ray'"),
        ("--optimizer=rmsprop", "one of"),
        ("--label_smoothing=1", "must be below 1"),
        ("--weight_decay=-1", "must be at least 0"),
        ("--strategy=multi_worker", "one of"),
        ("--threads=0", "at least 1"),
        ("--folds=1", "fold"),
        ("--fold=1", "needs the number of `folds`"),
        ("--folds=3 --fold=3", "fold"),
        ("--folds=3 --fold=1,1", "each once"),
        ("--features=mfcc --warm_up_seconds=2", "warm_up_seconds"),
    ],
)
def test_impossible_flags_are_refused(argument, message):
    with pytest.raises((flags.Error, ValueError), match=message):
        settings("--data_dir=x", *argument.split(" "))


@pytest.mark.parametrize("other", ["--workers=2", "--engine=ray"])
def test_a_strategy_takes_all_devices(other):
    mirrored = settings("--strategy=mirrored")
    assert mirrored.processes == 1
    with pytest.raises(ValueError, match="strategy='mirrored'"):
        settings("--strategy=mirrored", other)


def test_help_tells_every_flag_and_method(capsys):
    assert benchmark.main(["benchmark", "--help"]) == 0
    text = capsys.readouterr().out
    for name in (
        *NAMES,
        "--methods",
        "--tune",
        "--engine",
        "--store_dir",
        "ray://",
        "results.jsonl",
    ):
        assert name in text


def test_a_wrong_flag_and_missing_recordings_stop_the_command(tmp_path, capsys):
    assert benchmark.main(["benchmark", "--tau=1"]) == 1
    assert "Unknown command line flag 'tau'" in capsys.readouterr().err
    output = tmp_path / "out"
    common = ["benchmark", "--data_dir=/no/such/folder", f"--output_dir={output}"]
    assert benchmark.main(common) == 1
    assert "'/no/such/folder', which is no folder" in capsys.readouterr().err
    assert benchmark.main([*common, f"--beside={tmp_path}"]) == 1
    assert "Name the folder of a benchmark" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("recipes/benchmark_*.flags")), ids=lambda p: p.stem
)
def test_flagfiles_ask_for_what_there_is(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    asked = settings(f"--flagfile=recipes/{path.name}")
    assert "swr" in asked.methods and "fine_tuning_all" in asked.methods
    methods = [name for name in asked.methods if name != MULTILINGUAL]
    assert all(make(name, asked.shared, 1e-3) for name in methods)


def test_repetitions_are_seeds_or_every_fold_of_each_seed():
    assert [str(each) for each in settings("--seeds=3,1").repetitions] == ["seed 3", "seed 1"]
    folded = settings("--seeds=0,1", "--folds=3").repetitions
    assert len(folded) == 6
    assert [str(each) for each in folded[:2]] == ["seed 0, fold 0", "seed 1, fold 0"]
    some = settings("--seeds=4", "--folds=3", "--fold=2,0").repetitions
    assert [str(each) for each in some] == ["seed 4, fold 2", "seed 4, fold 0"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_made_with_its_rate(name):
    swr = settings().shared.swr
    made = make(name, Shared(swr, random_policies=2), 0.123)
    assert made
    for method in made:
        assert isinstance(method, Method)
        assert method.fit.learning_rate == 0.123
        assert method.cost == swr.cost
        if isinstance(method, SWR):
            assert method.learning.supernet.learning_rate == 0.123


def command(folders, output, *arguments):
    return [
        *(sys.executable, "-m", "swr_keras.recipes.benchmark", "--workers=2"),
        f"--data_dir={','.join(map(str, folders))}",
        *("--unknown_words=dog", "--target_cost=0.2", "--seeds=0"),
        "--methods=multilingual,swr,swr_not_staged,classifier_only",
        *("--base_epochs=2", "--supernet_epochs=2", "--task_epochs=2", "--search_steps=60"),
        *("--batch_size=16", "--test_snr_db=0,10", "--tries=4"),
        *(f"--store_dir={output}/store", f"--output_dir={output}/out"),
        *arguments,
    ]


def found(output):
    """Results but for what tells the time, and the bytes of all packs and policies, by address."""
    results, files = {}, {}
    for record in read_records(output / "out"):
        values = record.result.as_dict()
        for history in values.get("histories", {}).values():
            history.pop("seconds", None)
        values.pop("seconds", None)
        results[record.address] = values
        for path in (output / "store" / record.address).glob("*.safetensors"):
            files[record.address, path.name] = path.read_bytes()
    return results, files


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    """A benchmark that was killed on the way and done again; its folder and what it printed."""
    output = tmp_path_factory.mktemp("benchmark")
    process = subprocess.Popen(command(folders, output), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "policy search begins" in line:
            break
    time.sleep(2.0)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(command(folders, output), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return output, done.stdout


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_and_writes_its_tables(finished, folders):
    output, printed = finished
    assert "jobs were done before." in printed
    assert "min left)" in printed
    records = read_records(output / "out")
    results = BenchmarkResults(records)
    assert [row.method for row in results.rows()] == [
        *("multi-lingual", "SWR", "SWR, not staged", "classifier-only")
    ]
    assert results.notes() == []
    assert all(record.seconds > 0 and record.versions["tensorflow"] for record in records)
    tables = (output / "out" / "tables.md").read_text()
    assert "**All methods on bcresnet1, test accuracy" in tables
    assert "**Ablations of SWR on bcresnet1" in tables
    assert "All methods on bcresnet1" in printed
    assert "Achieved against target cost" in (output / "out" / "report.html").read_text()
    assert "</svg>" in (output / "out" / "accuracy_per_byte_bcresnet1.svg").read_text()
    for (_, name), data in found(output)[1].items():
        if name.startswith("task"):
            path = output / "again.safetensors"
            path.write_bytes(data)
            assert TaskPack.load(path).arrays
    again = subprocess.run(command(folders, output), capture_output=True, text=True, check=True)
    assert "begins" not in again.stdout
    otherwise = ["--task_epochs=1", f"--beside={output / 'out'}", f"--output_dir={output / 'new'}"]
    refused = subprocess.run(command(folders, output, *otherwise), capture_output=True, text=True)
    assert refused.returncode == 1
    assert "would stand in one row with a result in `beside`" in refused.stderr
    assert "begins" not in refused.stdout and not (output / "new").exists()
    assert (output / "out" / "tables.md").read_text() == tables


@pytest.mark.slow
def test_ray_gives_the_same_bytes(finished, folders, tmp_path):
    subprocess.run(
        [*command(folders, tmp_path), "--engine=ray"], capture_output=True, text=True, check=True
    )
    local, remote = found(finished[0]), found(tmp_path)
    assert remote[0] == local[0]
    assert remote[1] == local[1]
    assert len(local[1]) >= 8
