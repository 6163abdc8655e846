import json
import pathlib
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers

import swr_keras as swr
from swr_keras.audio import LogMel, MicroFrontend
from swr_keras.device import (
    Bundle,
    DeviceTask,
    Patch,
    emulated_check,
    write_bundle,
    write_deployment,
)
from swr_keras.export import convert_int8, describe_front_end
from swr_keras.jobs.result import Result
from swr_keras.jobs.run import Run, TaskFacts
from swr_keras.recipes import deploy

LABELS = ("no", "yes")
FRONT_END = LogMel()
MISSING = [tool for tool in ("qemu-system-arm", "arm-none-eabi-gcc") if not shutil.which(tool)]


def examples(seed=0):
    return np.random.default_rng(seed).normal(5, 3, size=(16, 30, 40, 1)).astype("float32")


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((30, 40, 1))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))


def write_task(folder, base, seed, front_end=FRONT_END):
    """Writes what a run keeps of a task: its pack, its int8 model and their manifest."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(seed)
    task = swr.TaskModel(base, ["depthwise"], num_classes=2)
    for variable in task.task_variables().values():
        variable.assign(keras.random.normal(variable.shape))
    task.pack().save(folder / "task.swr.safetensors")
    write_deployment(
        folder,
        convert_int8(task.merge(), examples(seed)),
        name="task_c0_1_int8",
        labels=LABELS,
        front_end=front_end,
        calibration_names=[str(each) for each in range(16)],
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with the base and a task, and one more task on the same base in another run."""
    folder = tmp_path_factory.mktemp("runs")
    base = network()
    write_task(folder / "more" / "french" / "c0.1", base, 2)
    run = folder / "run"
    write_task(run / "english" / "c0.1", base, 1)
    base.save(run / "base.keras")
    model = (run / "english" / "c0.1" / "task_c0_1_int8.tflite").read_bytes()
    tasks = {name: DeviceTask(model, LABELS) for name in ("base", "english")}
    described = describe_front_end(FRONT_END)
    write_bundle(run, Bundle.build(tasks), name="bundle_c0_1_int8", front_end=described)
    return folder


@pytest.fixture
def runs(made, tmp_path):
    """The same, to be damaged."""
    return shutil.copytree(made, tmp_path / "runs")


def call(runs, *arguments):
    return deploy.main(["deploy", f"--run_dir={runs / 'run'}", *arguments])


def test_a_run_becomes_a_folder_for_a_device(runs, capsys):
    assert call(runs) == 0
    folder = runs / "run" / "deploy_bundle_c0_1_int8"
    bundle = Bundle.load(folder / "bundle.bin")
    assert bundle.names == ("base", "english")
    assert len(bundle.image) == 131072
    arrays = [path.relative_to(folder) for path in folder.rglob("*.cc")]
    assert arrays == [pathlib.Path("firmware", "swr_image.cc")]
    sizes = json.loads((folder / "sizes.json").read_text())
    assert sizes["tasks"].keys() == {"base", "english"}
    assert sizes["shared"]["c_bytes"] > 0
    assert all(0 < shared <= sizes["steps"][name] for name, shared in sizes["shared_steps"].items())
    printed = capsys.readouterr().out
    assert f"{sizes['shared']['bundle_bytes']:,}" in printed
    assert f"Tasks share the first {sizes['shared_steps']['base']} of" in printed
    assert "LogMel has no C front end" in printed


@pytest.mark.parametrize(("flag", "kept"), [("--keep_trunk", True), ("--nokeep_trunk", False)])
def test_tasks_may_be_computed_at_once(flag, kept, runs):
    assert call(runs, flag) == 0
    source = (runs / "run" / "deploy_bundle_c0_1_int8" / "c" / "swr.c").read_text()
    (program,) = re.findall(r"SwrProgram program_\d+ = \{(.*)\}", source)
    assert program.endswith(f", {int(kept)}")


def result(accuracy, cost=0.1):
    """What a run found of the task "english"."""
    return Result(
        kind="int8",
        title=f"english: SWR at c = {cost:g}, int8",
        task="english",
        method="SWR",
        target_cost=cost,
        achieved_cost=cost,
        changed_layers=("depthwise",),
        testing_accuracy=0.5,
        stem="english/c0.1/task_c0_1_int8",
        manifest={
            "size_bytes": 1,
            "labels": list(LABELS),
            "front_end": {"class": "LogMel"},
            "input": {"shape": [1, 30, 40, 1], "scale": 0.1, "zero_point": 0},
            "operators": {},
            "arena": None,
            "accuracy": accuracy,
        },
    )


def save_results(folder, *results):
    facts = TaskFacts("english", LABELS, {"training": 8, "validation": 4, "testing": 4})
    Run(settings={}, base=None, tasks=(facts,), results=results, versions={}).save(folder)


def test_a_page_tells_what_tasks_take_and_how_well_they_do(runs):
    accuracy = {"examples": 1_000, "float": 0.876, "int8": 0.854}
    save_results(runs / "run", result(accuracy), result({"int8": 0.111}, cost=0.3))
    path = runs / "more" / "french" / "c0.1" / "task_c0_1_int8.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": {"int8": 0.765}}))
    assert call(runs, f"--add={path.with_suffix('.tflite')}") == 0
    folder = runs / "run" / "deploy_bundle_c0_1_int8"
    page = (folder / "report.html").read_text()
    assert "keyword spotter" not in page
    assert "french.patch" in page
    for shown in ("3 tasks on a device", "87.6 %", "85.4 %", "76.5 %", "LogMel has no C front end"):
        assert shown in page
    assert "11.1 %" not in page
    sizes = json.loads((folder / "sizes.json").read_text())
    assert f"{sizes['growth'][2]['bundle_bytes']:,}" in page
    assert f"{sizes['patches']['french']:,}" in page


def test_without_results_the_page_has_sizes_alone(runs):
    assert call(runs) == 0
    page = (runs / "run" / "deploy_bundle_c0_1_int8" / "report.html").read_text()
    assert "2 tasks on a device" in page
    assert "accuracy" not in page


@pytest.mark.parametrize("damage", ["[]", "{}", "{"])
def test_damaged_results_are_refused_and_nothing_is_written(runs, damage, capsys):
    (runs / "run" / "results.json").write_text(damage)
    assert call(runs) == 1
    assert "results.json" in capsys.readouterr().err
    assert not (runs / "run" / "deploy_bundle_c0_1_int8").exists()


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs the compiler gcc")
def test_the_sources_are_complete(runs):
    assert call(runs, f"--output_dir={runs / 'device'}") == 0
    sources = sorted(path.name for path in (runs / "device" / "c").glob("*.c"))
    assert {"swr.c", "swr_frontend.c", "swr_bundle.c"} <= set(sources)
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    place = runs / "device" / "c"
    subprocess.run([*command, *sources, "-o", "all.so"], cwd=place, check=True)


@pytest.mark.parametrize("file", ["task.swr.safetensors", "task_c0_1_int8.tflite"])
def test_a_task_is_added_by_a_patch(runs, file, capsys):
    pack = runs / "more" / "french" / "c0.1" / file
    assert call(runs, f"--add={pack},again={pack}") == 0
    folder = runs / "run" / "deploy_bundle_c0_1_int8"
    assert Bundle.load(folder / "bundle.bin").names == ("base", "english", "french", "again")
    patches = [Patch.load(folder / f"{name}.patch") for name in ("french", "again")]
    assert patches[1].num_bytes < patches[0].num_bytes
    assert f"Patch for 'french': {patches[0].num_bytes:,} bytes" in capsys.readouterr().out


def of_another_base(runs):
    other = network()
    other.get_layer("conv").bias.assign(np.ones(6))
    write_task(runs / "other" / "task" / "c0.1", other, 3)
    return runs / "other" / "task" / "c0.1" / "task.swr.safetensors"


def of_another_front_end(runs):
    write_task(runs / "micro" / "task" / "c0.1", network(), 3, MicroFrontend())
    return runs / "micro" / "task" / "c0.1" / "task_c0_1_int8.tflite"


def without_a_model(runs):
    folder = runs / "more" / "french" / "c0.1"
    (folder / "task_c0_1_int8.tflite").unlink()
    return folder / "task.swr.safetensors"


def without_a_manifest(runs):
    folder = runs / "more" / "french" / "c0.1"
    (folder / "task_c0_1_int8.json").write_text("[]")
    return folder / "task_c0_1_int8.tflite"


def damaged(runs):
    path = runs / "more" / "french" / "c0.1" / "task_c0_1_int8.tflite"
    path.write_bytes(path.read_bytes() + b"\0" * 16)
    return path


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (of_another_base, "made on another base"),
        (of_another_front_end, "another front end"),
        (without_a_model, "Expected one int8 model beside the pack"),
        (without_a_manifest, "isn't the manifest of a model"),
        (lambda runs: runs / "none.tflite", "none.tflite"),
        (damaged, "describes another file"),
        (lambda runs: f"../evil={runs}/more/french/c0.1/task.swr.safetensors", "evil"),
        (lambda runs: f"a b={runs}/more/french/c0.1/task.swr.safetensors", "name of a task"),
        (lambda runs: f"english={runs}/more/french/c0.1/task.swr.safetensors", "another name"),
    ],
)
def test_what_can_not_be_added_is_refused_and_nothing_is_written(runs, file, message, capsys):
    assert call(runs, f"--add={file(runs)}") == 1
    assert message in capsys.readouterr().err
    assert not (runs / "run" / "deploy_bundle_c0_1_int8").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run_dir=nowhere"], "no run in 'nowhere'"),
        (["--target_cost=0.3"], "Expected one bundle"),
        (["--image_bytes=4096"], "image_bytes=4096"),
        (["--slot_bytes=100"], "slot_bytes"),
        (["--cpu=pentium"], "cortex-m4"),
    ],
)
def test_bad_settings_are_refused(runs, arguments, message, capsys):
    assert call(runs, *arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"front_end": None},
        {"front_end": 5},
        {"front_end": {"class": "Evil", "parameters": {}}},
        {"format": "other"},
    ],
)
def test_a_damaged_manifest_is_refused_and_nothing_is_written(runs, change, capsys):
    path = runs / "run" / "bundle_c0_1_int8.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert call(runs) == 1
    assert "Error" in capsys.readouterr().err
    assert not (runs / "run" / "deploy_bundle_c0_1_int8").exists()


def test_of_several_costs_one_is_named(runs, capsys):
    for suffix in (".bin", ".json"):
        source = runs / "run" / f"bundle_c0_1_int8{suffix}"
        shutil.copy(source, runs / "run" / f"bundle_c0_3_int8{suffix}")
    assert call(runs) == 1
    assert "bundle_c0_3_int8.bin" in capsys.readouterr().err
    assert call(runs, "--target_cost=0.3") == 0


def test_a_damaged_bundle_is_refused(runs, capsys):
    path = runs / "run" / "bundle_c0_1_int8.bin"
    path.write_bytes(path.read_bytes()[:-100])
    assert call(runs) == 1
    assert "Error" in capsys.readouterr().err


@pytest.fixture
def heard_by_micro(runs):
    bundle = Bundle.load(runs / "run" / "bundle_c0_1_int8.bin")
    described = describe_front_end(MicroFrontend())
    write_bundle(runs / "run", bundle, name="bundle_c0_1_int8", front_end=described)
    folder = runs / "more" / "french" / "c0.1"
    manifest = json.loads((folder / "task_c0_1_int8.json").read_text())
    manifest["front_end"] = described
    (folder / "task_c0_1_int8.json").write_text(json.dumps(manifest))
    return runs


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
def test_an_emulated_device_agrees(heard_by_micro, capsys):
    pack = heard_by_micro / "more" / "french" / "c0.1" / "task.swr.safetensors"
    assert call(heard_by_micro, "--cpu=cortex-m3", "--keep_trunk", f"--add={pack}") == 0
    printed = capsys.readouterr().out
    assert "are those of Python" in printed
    assert "All tasks at once take" in printed
    folder = heard_by_micro / "run" / "deploy_bundle_c0_1_int8"
    found = json.loads((folder / "sizes.json").read_text())["emulated"]
    assert found["cpu"] == "cortex-m3"
    assert found["instructions_per_inference"].keys() == {"base", "english", "french"}
    assert (folder / "firmware" / "swr_config.h").is_file()
    assert [path.name for path in folder.rglob("*.cc")] == ["swr_image.cc"]
    assert f"{found['ram_bytes']:,}" in (folder / "report.html").read_text()


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
@pytest.mark.parametrize("program", ["swr_check.c", "swr_check_patch.c"])
def test_a_check_that_fails_is_an_error(program, heard_by_micro, tmp_path, capsys, monkeypatch):
    shutil.copytree(emulated_check.C_FOLDERS, tmp_path / "tflite")
    (tmp_path / "tflite" / "check" / program).write_text("int main(void) { return 3; }")
    monkeypatch.setattr(emulated_check, "C_FOLDERS", tmp_path / "tflite")
    pack = heard_by_micro / "more" / "french" / "c0.1" / "task.swr.safetensors"
    assert call(heard_by_micro, f"--add={pack}") == 1
    assert "ended with status 3" in capsys.readouterr().err
    assert not (heard_by_micro / "run" / "deploy_bundle_c0_1_int8").exists()


def test_a_missing_tool_is_named(heard_by_micro, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert call(heard_by_micro) == 0
    assert "apt-get install" in capsys.readouterr().out
