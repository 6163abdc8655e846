import json
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from PIL import Image

from swr_keras import images
from swr_keras.jobs.base import PublishedBase, TrainBase
from swr_keras.jobs.benchmark_results import BenchmarkResults
from swr_keras.jobs.record import read_records
from swr_keras.jobs.schedule import Failure
from swr_keras.recipes import benchmark_run, imagenet_to_sketch
from swr_keras.recipes.benchmark_images import ImageBenchmark
from swr_keras.recipes.benchmark_jobs import Group, plan
from swr_keras.recipes.benchmark_source import KnownTask, Repetition
from swr_keras.recipes.benchmark_tuning import given_rates
from swr_keras.recipes.setting_flags import parse
from swr_keras.split_task import BASE
from swr_keras.tasks.library import TaskLibrary

ROOT = pathlib.Path(__file__).parents[2]


def settings(*arguments):
    return parse(ImageBenchmark, ["imagenet_to_sketch", *arguments])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three sets of 16 x 16 images, whose classes are stripes of other directions and colours."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for at, name in enumerate(("base_set", "birds", "sketches_small")):
        for part, count in (("train", 8), ("test", 4)):
            for label in range(3):
                place = folder / name / part / f"class{label}"
                place.mkdir(parents=True)
                for number in range(count):
                    pixels = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8)
                    pixels[label + at :: 3 + label] += 120
                    Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def asked(root, *arguments):
    return settings(
        *(f"--data_dir={root}", "--sets=birds,sketches_small", "--base_set=base_set"),
        *("--image_size=16", *arguments),
    )


def grouped(wanted):
    source = wanted.source()
    groups = [
        Group.of(wanted, backbone, repetition, *source.known(backbone, repetition))
        for repetition in wanted.repetitions
        for backbone in wanted.backbones
    ]
    return source, groups


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data_dir=x"], "trained on a set, `base_set`, or has `weights`"),
        (["--data_dir=x", "--base_set=a", "--weights=b"], "`base_set`, or has `weights`"),
        (["--sets=a,a"], "each once"),
        (["--sets="], "one or more"),
        (["--sets=my-birds,my birds"], "each once"),
        (["--sets=Greek,greek"], "each once"),
        (["--sets=+"], "letters or digits"),
        (["--sets=latin,greek"], r"`sets` has \['latin'\], which is what bases are trained on"),
        (["--data_dir=x", "--base_set=a", "--sets=a,b"], r"`sets` has \['a'\]"),
        (["--data_dir=x", "--base_set=a", "--sets=base"], r"`sets` has \['base'\]"),
        (["--sets=greek", "--unflipped=grek"], r"`unflipped` has \['grek'\]"),
        (["--data_dir="], "`data_dir` is empty"),
        (["--image_size=7"], "at least 8"),
        (["--weights=imagenet"], "Weights are published for mobilenet_v2, resnet50"),
        (
            ["--weights=imagenet", "--backbones=resnet50"],
            "fetches weights for keras-mobilenet_v2, keras-resnet50. Received: .*torchvision",
        ),
        (["--weights=x.pth", "--backbones=resnet50,mobilenet_v2"], "of one backbone"),
        (["--keywords=yes"], "Unknown command line flag 'keywords'"),
    ],
)
def test_impossible_flags_are_refused(arguments, message):
    with pytest.raises((flags.Error, ValueError), match=message):
        settings(*arguments)


def test_help_tells_of_images_and_not_of_recordings(capsys):
    assert imagenet_to_sketch.main(["imagenet_to_sketch", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("--sets", "--weights", "wikiart", "taps", "libraries/"))
    assert "--noise_dir" not in text


def test_without_flags_letters_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(
        images, "letter_sets", lambda: {name: tmp_path / name for name in images.LETTER_SETS}
    )
    sets = settings().image_sets
    assert sets.folders() == {name: tmp_path / name for name in ("greek", "cyrillic", "latin")}
    assert (sets.base_name, sets.size) == ("latin", 32)
    with pytest.raises(ValueError, match=r"no letters \['klingon'\]. Choose among latin"):
        settings("--sets=klingon").image_sets.folders()


def test_missing_images_stop_the_command(tmp_path, capsys):
    common = ["imagenet_to_sketch", f"--data_dir={tmp_path}", "--base_set=cifar10"]
    assert imagenet_to_sketch.main([*common, f"--output_dir={tmp_path / 'out'}"]) == 1
    assert "train' doesn't exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_are_missed_before_images_are_read(tmp_path, capsys):
    common = ["imagenet_to_sketch", f"--data_dir={tmp_path}", "--backbones=resnet50"]
    paths = (f"--store_dir={tmp_path / 'store'}", f"--output_dir={tmp_path / 'out'}")
    assert imagenet_to_sketch.main([*common, "--weights=no.pth", *paths]) == 1
    assert "no.pth" in capsys.readouterr().err


def test_a_failed_job_is_listed_once_and_what_is_known_of_a_base_is_on_the_page(
    root, tmp_path, monkeypatch, capsys
):
    def fail(jobs, store, engine, *, names, plans, report):
        return [Failure(job, names[job.address()], "no power", None) for job in jobs]

    monkeypatch.setattr(benchmark_run, "run_jobs", fail)
    odd = root / "base_set" / "train" / "class0" / "odd.png"
    odd.write_bytes(b"no image")
    arguments = [
        *("imagenet_to_sketch", f"--data_dir={root}", "--sets=birds,sketches_small"),
        *("--base_set=base_set", "--image_size=16", "--seeds=0,1", "--methods=classifier_only"),
        *("--tune=1e-3,1e-2", "--skip_unreadable"),
        *(f"--store_dir={tmp_path / 'store'}", f"--output_dir={tmp_path / 'out'}"),
    ]
    try:
        assert imagenet_to_sketch.main(arguments) == 1
    finally:
        odd.unlink()
    told = capsys.readouterr().err
    # Two bases, and the default rate on both tasks at both seeds; others were tried in vain.
    assert "6 jobs were not done" in told
    listed = [line for line in told.splitlines() if "no power" in line]
    assert len(set(listed)) == len(listed) == 6
    page = (tmp_path / "out" / "report.html").read_text()
    assert "base, seed 1: 21 training, 3 validation, 12 testing examples." in page
    assert page.count("base: Left out of") == 1 and "odd.png" in page


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_published_base_has_the_precision_that_is_asked_for(precision):
    wanted = settings("--weights=w", "--backbones=mobilenet_v2", f"--precision={precision}")
    task = KnownTask("base", (), {}, (32, 32, 3), (), "digest")
    assert wanted.base_job("mobilenet_v2", Repetition(0), task).precision == precision


def test_sets_are_read_again_in_another_process_and_must_be_the_same(root, tmp_path):
    wanted = asked(root, "--seeds=0,1")
    source, groups = grouped(wanted)
    tasks = [task for group in groups for task in (group.base_task, *group.tasks)]
    assert len({task.data for task in tasks}) == 6
    again = pickle.loads(pickle.dumps(source))
    for known in tasks:
        task = again.task(known.data)
        assert (task.name, task.labels, task.input_shape) == (
            *(known.name, known.labels, known.input_shape),
        )
        assert task.steps_per_epoch(4) == known.steps_per_epoch(4)
    assert tasks[0].name == BASE
    changed = root / "birds" / "train" / "class0" / "0.png"
    original = changed.read_bytes()
    try:
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(changed)
        with pytest.raises(ValueError, match="images of 'birds' changed"):
            pickle.loads(pickle.dumps(source)).task(tasks[1].data)
    finally:
        changed.write_bytes(original)


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("--seeds=3", True),
        ("--image_size=12", True),
        ("--unflipped=birds", True),
        ("--unflipped=sketches_small", False),
        ("--validation_share=0.3", True),
        ("--skip_unreadable", False),
    ],
)
def test_a_task_is_what_a_network_sees_of_it(argument, changes, root):
    _, (first,) = grouped(asked(root, "--seeds=0"))
    _, (second,) = grouped(asked(root, "--seeds=0", argument))
    assert (first.tasks[0].data != second.tasks[0].data) == changes


def test_a_base_is_trained_on_a_set_or_published(root, tmp_path):
    _, (trained,) = grouped(asked(root, "--seeds=0"))
    assert isinstance(trained.base, TrainBase)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"any")
    arguments = (
        *(f"--data_dir={root}", "--sets=birds", f"--weights={weights}", "--image_size=32"),
        *("--backbones=mobilenet_v2", "--seeds=0,1", "--methods=swr"),
    )
    wanted = settings(*arguments)
    source, groups = grouped(wanted)
    assert isinstance(groups[0].base, PublishedBase)
    # Engines give every job a task, though this one needs none.
    assert source.task(groups[0].base.data).name == "birds"
    assert groups[0].base == groups[1].base
    jobs = plan(wanted, groups, given_rates(wanted))
    assert [type(each.job).__name__ for each in jobs].count("PublishedBase") == 1
    assert all(bool(each.plan) == bool(each.job.plan(groups[0].tasks[0])) for each in jobs)
    weights.write_bytes(b"other")
    _, changed = grouped(settings(*arguments))
    assert changed[0].base.address() != groups[0].base.address()
    with pytest.raises(ValueError, match="changed since this job was planned"):
        groups[0].base.run(None)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("recipes/imagenet_to_sketch*.flags")), ids=lambda p: p.stem
)
def test_flagfiles_ask_for_what_there_is(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    base = [] if "--base_set" in path.read_text() else ["--weights=resnet50.pth"]
    wanted = settings(f"--flagfile=recipes/{path.name}", "--data_dir=x", *base)
    assert "swr" in wanted.methods


@pytest.mark.slow
def test_the_command_compares_methods_on_images(root, tmp_path):
    command = [
        *(sys.executable, "-m", "swr_keras.recipes.imagenet_to_sketch", f"--data_dir={root}"),
        *("--sets=birds,sketches_small", "--base_set=base_set", "--image_size=16", "--seeds=0"),
        *(
            "--methods=swr,classifier_only",
            "--int8",
            "--backbones=resnet20-narrow",
            "--base_epochs=1",
        ),
        *("--task_epochs=1", "--supernet_epochs=1", "--search_steps=20", "--tries=2"),
        *(f"--store_dir={tmp_path / 'store'}", f"--output_dir={tmp_path / 'out'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    records = read_records(tmp_path / "out")
    converted = {r.address: r.result for r in records if r.result.kind == "int8"}
    assert len(converted) == 4
    for address, result in converted.items():
        assert (tmp_path / "store" / address / f"{result.stem}.tflite").is_file()
    assert "int8 minus float" in (tmp_path / "out" / "tables.md").read_text()
    results = BenchmarkResults(records)
    assert results.tasks == ["birds", "sketches_small"]
    assert [row.method for row in results.rows()] == ["SWR", "classifier-only"]
    (folder,) = (tmp_path / "out" / "libraries").iterdir()
    library = TaskLibrary.load(folder)
    assert set(library) == {"birds", "sketches_small"}
    assert library.merged("birds").output_shape == (None, 3)
    written = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert written["sets"] == ["birds", "sketches_small"]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and "begins" not in again.stdout
