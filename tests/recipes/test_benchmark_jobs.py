import json
import pickle
import shutil

import pytest

from swr_keras.jobs.int8 import ConvertInt8
from swr_keras.jobs.model import AdaptModel
from swr_keras.jobs.result import Result
from swr_keras.recipes.benchmark_jobs import Group, plan, without_base_row
from swr_keras.recipes.benchmark_keywords import KeywordBenchmark
from swr_keras.recipes.benchmark_methods import MULTILINGUAL, NAMES
from swr_keras.recipes.benchmark_tuning import (
    chosen_rates,
    given_rates,
    tried,
    tuning_jobs,
)
from swr_keras.recipes.setting_flags import parse

ALL = f"--methods={','.join(NAMES)}"


def settings(*arguments):
    return parse(KeywordBenchmark, ["benchmark", *arguments])


def asked(folders, *arguments):
    return settings(f"--data_dir={','.join(map(str, folders))}", *arguments)


def grouped(asked):
    source = asked.source()
    return [
        Group.of(asked, backbone, repetition, *source.known(backbone, repetition))
        for repetition in asked.repetitions
        for backbone in asked.backbones
    ]


def planned(asked, groups=None, rates=None):
    jobs = plan(asked, groups or grouped(asked), rates or given_rates(asked))
    return {each.name: each.job for each in jobs}


def test_jobs_of_every_method_stand_behind_their_needs(folders):
    arguments = (ALL, "--unknown_words=dog", "--seeds=0,1", "--target_cost=0.2,0.5")
    jobs = list(planned(asked(folders, *arguments)).values())
    addresses = [job.address() for job in jobs]
    assert len(set(addresses)) == len(addresses)
    for number, job in enumerate(jobs):
        assert {need.address() for need in job.needs} <= set(addresses[:number])
    kinds = [type(job).__name__ for job in jobs]
    assert kinds.count("TrainBase") == 2
    assert kinds.count("TryBase") == 2 * 2
    # SWR's own search is that of all its costs, of the super-net's weights too.
    searches = [job for job in jobs if type(job).__name__ == "LearnPolicies"]
    assert len(searches) == 2 * 2 * 5


def test_what_a_device_can_run_is_converted_with_the_scales_of_the_base(folders):
    jobs = planned(asked(folders[:1], ALL, "--seeds=0", "--int8")).values()
    converted = {job.model.method.name: job for job in jobs if isinstance(job, ConvertInt8)}
    trained = {job.method.name for job in jobs if isinstance(job, AdaptModel)}
    assert trained - set(converted) == {"SpotTune"}
    alone = {name for name, job in converted.items() if job.base is None}
    assert alone == {"residual adapter", "Rep-Net"}
    (base,) = {job.base for job in converted.values()} - {None}
    assert base.data == base.base.data
    tuned = asked(folders[:1], "--methods=swr", "--seeds=0", "--int8", "--tune=0.1,0.2")
    trials = tuning_jobs(tuned, grouped(tuned))
    assert not any(isinstance(each.job, ConvertInt8) for each in trials)


def test_a_first_layer_that_there_is_not_is_refused_before_training(folders):
    with pytest.raises(ValueError, match="stage9"):
        planned(asked(folders, "--methods=swr", "--seeds=0", "--first_layer=stage9"))


def test_settings_of_jobs_are_resolved(folders):
    jobs = planned(asked(folders, "--methods=swr,classifier_only", "--seeds=0"))
    told = json.dumps([job.settings() for job in jobs.values() if job.title != "base"])
    assert '"learning_rate": null' not in told and '"epochs": null' not in told
    assert '"learning_rate": 0.01' in told and '"learning_rate": 0.02' in told


def test_more_of_anything_leaves_jobs_as_they_are(folders):
    few = planned(asked(folders, "--seeds=0"))
    more = planned(asked(folders, ALL, "--seeds=1,0", "--target_cost=0.5,0.1", "--threads=2"))
    assert {job.address() for job in few.values()} < {job.address() for job in more.values()}


@pytest.mark.parametrize(
    ("argument", "same"),
    [
        ("--seeds=1", set()),
        ("--backbones=bcresnet1-hard-swish", set()),
        ("--base_epochs=3", set()),
        ("--task_epochs=3", {"base", "english: policy search", "english: policy at c = 0.1"}),
        ("--search_steps=300", {"base", "english: fine-tuning all"}),
        ("--tries=3", {"base", "english: fine-tuning all", "english: policy search"}),
        (
            "--learning_rates=fine_tuning_all=1e-3",
            {"base", "english: policy search", "english: policy at c = 0.1", "english: SWR at c"},
        ),
        ("--test_snr_db=0,10", set()),
    ],
)
def test_a_setting_changes_the_jobs_that_depend_on_it(argument, same, folders):
    common = ("--methods=swr,fine_tuning_all", "--seeds=0")
    addresses = {job.address(): job.title for job in planned(asked(folders[:1], *common)).values()}
    changed = planned(asked(folders[:1], *common, argument)).values()
    kept = {addresses[job.address()] for job in changed if job.address() in addresses}
    assert {title.partition(" = 0.1")[0] for title in kept} == {
        title.partition(" = 0.1")[0] for title in same
    }


def test_a_base_of_other_words_is_not_tried_and_that_is_said(folders):
    flags = f"--base_data_dir={folders[0]}", "--seeds=0"
    wanted = asked(folders[1:], f"--methods={MULTILINGUAL}", *flags)
    groups = grouped(wanted)
    jobs = planned(wanted, groups)
    assert {type(job).__name__ for job in jobs.values()} == {"TrainBase"}
    (line,) = without_base_row(wanted, groups)
    assert line.startswith("mandarin: the base doesn't know all of its classes")
    assert without_base_row(asked(folders[1:], "--methods=swr", *flags), groups) == []


def test_rates_are_chosen_on_validation_examples_of_the_first_repetition(folders):
    wanted = asked(
        folders,
        *("--methods=multilingual,swr,fine_tuning_all,classifier_only", "--seeds=4,5"),
        *("--tune=0.1,0.01", "--learning_rates=classifier_only=0.003", "--target_cost=0.2,0.5"),
    )
    groups = grouped(wanted)
    trials = tuning_jobs(wanted, groups)
    assert {each.job.seed for each in trials} == {4}
    models = [each for each in trials if each.method and "policy" not in each.job.title]
    assert {(each.method, each.learning_rate) for each in models} == {
        (method, rate) for method in ("swr", "fine_tuning_all") for rate in (0.1, 0.01)
    }
    assert {each.job.target_cost for each in models} == {0.2, None}

    def result(each):
        """The first rate is better for SWR on validation, worse at test; else the other way."""
        better = (each.method == "swr") == (each.learning_rate == 0.1)
        task = {"english": 0.1, "mandarin": 0.2}[each.job.task]
        return Result(
            kind="model",
            title=each.job.title,
            task=each.job.task,
            method=each.method,
            validation_accuracy=0.5 + task * better,
            testing_accuracy=0.5 - task * better,
            **({"target_cost": 0.2, "achieved_cost": 0.1, "changed_layers": ()}),
        )

    results = {each.job.address(): result(each) for each in models}
    found = tried(trials, results)
    assert {round(each.validation_accuracy, 3) for each in found} == {0.5, 0.65}
    rates = chosen_rates(wanted, found)
    assert rates["swr", "bcresnet1"] == 0.1
    assert rates["fine_tuning_all", "bcresnet1"] == 0.01
    assert rates["classifier_only", "bcresnet1"] == 0.003
    # What was tried at the chosen rate is part of the benchmark.
    final = {job.address() for job in planned(wanted, groups, rates).values()}
    chosen = {
        each.job.address()
        for each in models
        if rates[each.method, "bcresnet1"] == each.learning_rate
    }
    assert chosen <= final
    # A rate at which a job failed isn't chosen.
    best = [each for each in models if each.learning_rate == 0.1 and each.method == "swr"]
    del results[best[0].job.address()]
    assert chosen_rates(wanted, tried(trials, results))["swr", "bcresnet1"] == 0.01


def test_an_ablation_has_the_rate_of_swr_unless_told_otherwise():
    methods = "--methods=swr,swr_not_staged,swr_supernet_weight,fine_tuning_all"
    rates = given_rates(settings(methods, "--learning_rates=swr=0.01,swr_not_staged=0.02"))
    assert {name: rate for (name, _), rate in rates.items()} == {
        "swr": 0.01,
        "swr_not_staged": 0.02,
        "swr_supernet_weight": 0.01,
        "fine_tuning_all": None,
    }


def test_recordings_are_read_again_in_another_process_and_must_be_the_same(folders, tmp_path):
    copied = [shutil.copytree(folder, tmp_path / folder.name) for folder in folders]
    wanted = asked(copied, "--seeds=0")
    recordings = wanted.source()
    _, tasks = recordings.known("bcresnet1", wanted.repetitions[0])
    pickled = pickle.dumps(recordings)
    assert len(pickled) < 20_000
    again = pickle.loads(pickled)
    task = again.task(tasks[0].data)
    assert (task.name, task.examples, task.input_shape) == (
        tasks[0].name,
        tasks[0].examples,
        tasks[0].input_shape,
    )
    assert task.steps_per_epoch(5) == tasks[0].steps_per_epoch(5)
    assert again.task(tasks[0].data) is task
    next((copied[0] / "yes").iterdir()).unlink()
    with pytest.raises(ValueError, match="recordings of 'english' changed"):
        pickle.loads(pickled).task(tasks[0].data)


def test_jobs_of_a_task_share_features_on_disk_and_a_base_keeps_none(folders, tmp_path):
    wanted = asked(folders, "--seeds=0")
    recordings = wanted.source(tmp_path / "epochs")
    known = recordings.known("bcresnet1", wanted.repetitions[0])
    for task in (known[0], known[1][0]):
        batches = pickle.loads(pickle.dumps(recordings)).task(task.data).training(4)
        next(batches.skip(2 * task.steps_per_epoch(4)).as_numpy_iterator())
    (kept,) = (tmp_path / "epochs").iterdir()
    assert len(list(kept.iterdir())) >= 2
    again = recordings.task(known[1][0].data)
    assert again.digest() == known[1][0].data
