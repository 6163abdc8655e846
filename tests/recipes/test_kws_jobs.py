import dataclasses
import re

import keras
import pytest

from swr_keras.audio.keyword_task import combine
from swr_keras.jobs.int8 import c_name
from swr_keras.recipes import kws
from swr_keras.recipes.kws_corpora import load_tasks
from swr_keras.recipes.kws_jobs import plan
from swr_keras.recipes.kws_settings import KwsSettings
from swr_keras.recipes.setting_flags import parse

NAMES = ("english", "en-US", "en US", "की", "का", "2nd", "task_1")


def test_int8_models_of_a_run_have_c_names_of_their_own():
    names = [c_name(task, cost) for task in NAMES for cost in (0.1, 0.01, 1e-5, 1)]
    assert names[0] == "english_c0_1_int8"
    assert all(name.isascii() and name.isidentifier() for name in names)
    assert len(set(names)) == len(names)


def planned(folder, *arguments):
    settings = parse(KwsSettings, ["kws", f"--data_dir={folder}", *arguments])
    tasks = load_tasks(settings.corpora, settings.hearing, settings.seed)
    return plan(settings, tasks, combine(tasks, settings.hearing))


@pytest.fixture
def corpus(tmp_path, write_corpus):
    return write_corpus(tmp_path / "english", ["yes", "no"])


def test_each_job_stands_behind_those_that_it_needs(corpus):
    jobs = planned(corpus, "--target_cost=0.1,0.3", "--random_policies=2", "--last_layers_first")
    titles = [job.title for job in jobs]
    assert len(set(titles)) == len(titles) == 19
    for number, job in enumerate(jobs):
        assert all(need in jobs[:number] for need in job.needs)
    waiting = {job.title for job in jobs if any("policy at" in need.title for need in job.needs)}
    assert waiting == {"english: SWR at c = 0.1", "english: SWR at c = 0.3"}


def test_a_job_is_the_same_whatever_else_a_run_does(corpus):
    few = {job.title: job.digest() for job in planned(corpus)}
    many = {job.title: job.digest() for job in planned(corpus, "--target_cost=0.3,0.1")}
    assert few.items() < many.items()


@pytest.mark.parametrize(
    ("flag", "changed"),
    [
        ("--seed=1", {"base", "search", "policy", "classifier", "SWR", "int8"}),
        ("--base_epochs=3", {"base", "search", "policy", "classifier", "SWR", "int8"}),
        ("--precision=mixed_bfloat16", {"base", "search", "policy", "classifier", "SWR", "int8"}),
        (
            "--backbone=bcresnet1-hard-swish",
            {"base", "search", "policy", "classifier", "SWR", "int8"},
        ),
        ("--search_steps=30", {"search", "policy", "SWR", "int8"}),
        ("--tries=30", {"policy", "SWR", "int8"}),
        ("--first_layer=stage1_block0_expand_conv", {"policy", "SWR", "int8"}),
        ("--task_epochs=3", {"classifier", "SWR", "int8"}),
        ("--classifier_learning_rate=0.1", {"classifier"}),
        ("--reading=threshold", {"policy", "SWR", "int8"}),
        ("--calibration_clips=30", {"int8"}),
        ("--output_dir=elsewhere", set()),
    ],
)
def test_a_setting_changes_the_jobs_that_depend_on_it(flag, changed, corpus):
    names = {
        "base": "base",
        "english: policy search": "search",
        "english: policy at c = 0.1": "policy",
        "english: classifier-only": "classifier",
        "english: SWR at c = 0.1": "SWR",
        "english: SWR at c = 0.1, int8": "int8",
    }
    before, after = planned(corpus), planned(corpus, flag)
    pairs = zip(before, after, strict=True)
    differing = {names.get(a.title) for a, b in pairs if a.digest() != b.digest()} - {None}
    assert differing == changed


def test_a_first_layer_is_told_only_where_it_is_asked_for(corpus):
    arguments = ["--random_policies=1", "--last_layers_first"]
    assert not any("first_layer" in str(job.spec()) for job in planned(corpus, *arguments))
    jobs = planned(corpus, *arguments, "--first_layer=stage3_block0_expand_conv")
    told = {job.title for job in jobs if "stage3_block0" in str(job.spec())}
    assert told == {
        "english: policy at c = 0.1",
        *(
            f"english: {name} at c = 0.1"
            for name in ("SWR", "random policy 1", "last layers first")
        ),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--first_layer=stage9"], "path of a policy layer"),
        (["--first_layer=neck_conv", "--target_cost=0.3,0.01"], "target cost of 0.01"),
        (["--first_layer=neck_conv", "--bn_mode=statistics"], "batch_norm='statistics'"),
    ],
)
def test_a_first_layer_that_can_not_be_is_refused_before_training(
    arguments, message, corpus, tmp_path, capsys
):
    output = tmp_path / "run"
    arguments = ["kws", f"--data_dir={corpus}", f"--output_dir={output}", *arguments]
    assert kws.main(arguments) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_super_nets_and_task_models_are_trained_as_the_flags_say():
    arguments = ["--optimizer=sgd", "--weight_decay=1e-4", "--label_smoothing=0.3"]
    settings = parse(KwsSettings, ["kws", *arguments])
    methods = [settings.swr, *settings.baselines, *settings.same_cost]
    for fit in (settings.swr.learning.supernet, *(method.fit for method in methods)):
        assert (fit.optimizer, fit.weight_decay, fit.label_smoothing) == ("sgd", 1e-4, 0.3)
    assert settings.base_fit.optimizer == "adam"
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert settings.resolved(base).transfer.learning_rate == 1e-2


def test_a_strategy_takes_all_devices():
    assert parse(KwsSettings, ["kws", "--strategy=mirrored"]).processes == 1
    assert parse(KwsSettings, ["kws", "--workers=3"]).processes == 3
    with pytest.raises(ValueError, match="strategy='mirrored', workers=2"):
        parse(KwsSettings, ["kws", "--strategy=mirrored", "--workers=2"])


@pytest.mark.parametrize(
    ("backbone", "width"),
    [
        ("bcresnet1", None),
        ("bcresnet1.5", 1),
        ("bcresnet8", 7),
        ("bcresnet1-hard-swish", None),
        ("bcresnet1.5-hard-swish", 1),
        ("bcresnet8-hard-swish", 7),
        ("res15", None),
    ],
)
def test_spectra_are_masked_as_suits_the_width_of_the_backbone(backbone, width):
    assert parse(KwsSettings, ["kws", f"--backbone={backbone}"]).hearing == dataclasses.replace(
        KwsSettings().hearing, spec_augment_freq_width=width
    )


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((101,), None, r"takes inputs of shape \(101,\)"),
        ((99, 40, 1), None, "takes inputs of shape"),
        ((98, 40, 1), '{"labels": ["a", "b"]}', "names of its 3 outputs"),
        ((98, 40, 1), "{}", "names of its 3 outputs"),
        ((98, 40, 1), "labels", "can't be read as the class names"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(shape, labels, message, tmp_path, corpus, capsys):
    keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        tmp_path / "base.keras"
    )
    if labels:
        (tmp_path / "base.json").write_text(labels)
    output = tmp_path / "run"
    arguments = [f"--data_dir={corpus}", f"--base={tmp_path}/base.keras", f"--output_dir={output}"]
    assert kws.main(["kws", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not output.exists()


def test_a_base_brings_its_int8_model_along(tmp_path, corpus, toy_int8, capsys):
    shape = (98, 40, 1)
    keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        tmp_path / "base.keras"
    )
    given = f"--base={tmp_path}/base.keras"
    alone = planned(corpus, given)[1]
    (tmp_path / "base_int8.tflite").write_bytes(toy_int8)
    beside = planned(corpus, given)[1]
    assert alone.given is None
    assert beside.given.data == toy_int8
    assert alone.digest() != beside.digest()
    (tmp_path / "base_int8.tflite").write_bytes(toy_int8[:200])
    assert kws.main(["kws", f"--data_dir={corpus}", given, f"--output_dir={tmp_path}/run"]) == 1
    assert "Error" in capsys.readouterr().err
