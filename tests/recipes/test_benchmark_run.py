"""What a benchmark makes of finished and failed jobs, which are made up here."""

import shutil

import pytest

from swr_keras.jobs.job import Job
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.record import read_records
from swr_keras.jobs.result import Result
from swr_keras.jobs.schedule import Failure
from swr_keras.recipes import benchmark_run
from swr_keras.recipes.benchmark_keywords import KeywordBenchmark
from swr_keras.recipes.setting_flags import parse


def outcome(job: Job) -> Outcome:
    if job.title == "base":
        result = Result(kind="base", title=job.title, task=job.task)
    else:
        result = Result(
            kind="model",
            title=job.title,
            task=job.task,
            method=job.method.row,
            validation_accuracy=0.5,
            testing_accuracy=0.5,
        )
    return Outcome(result=result, seconds=1.0, peak_memory_bytes=None, versions={"keras": "3"})


@pytest.fixture
def failing(monkeypatch):
    """Makes up the outcomes of all jobs but those at some learning rates, which fail."""
    rates = set()

    def run_jobs(jobs, store, engine, *, names, plans, report):
        failures = []
        for job in jobs:
            if job.title != "base" and job.method.fit.learning_rate in rates:
                failures.append(Failure(job, names[job.address()], "The loss is nan.", None))
            elif store.outcome(job) is None:
                store.begin(job)
                store.finish(job, outcome(job))
        return failures

    monkeypatch.setattr(benchmark_run, "run_jobs", run_jobs)
    return rates


@pytest.fixture
def run(folders, tmp_path, failing):
    def run(*arguments, data=folders, output="out"):
        common = [
            f"--data_dir={','.join(map(str, data))}",
            *("--unknown_words=dog", "--methods=classifier_only,fine_tuning_all"),
            *(f"--store_dir={tmp_path / 'store'}", f"--output_dir={tmp_path / output}"),
        ]
        benchmark_run.run(parse(KeywordBenchmark, ["benchmark", *common, *arguments]))
        return tmp_path / output

    return run


def test_a_task_that_was_renamed_keeps_its_results(folders, tmp_path, run):
    base = f"--base_data_dir={folders[0]}"
    run(base, "--seeds=0", data=folders[1:])
    renamed = shutil.copytree(folders[1], tmp_path / "chinese")
    again = read_records(run(base, "--seeds=0", data=[renamed], output="again"))
    found = {(record.result.task, record.result.title) for record in again[1:]}
    assert found == {
        ("chinese", f"chinese: {method}") for method in ("classifier-only", "fine-tuning all")
    }


def test_a_rate_that_fails_is_not_chosen_and_is_no_other_failure(run, failing):
    failing.add(0.5)
    folder = run("--seeds=0", "--tune=0.01,0.5")
    assert "fine-tuning all" in (folder / "tables.md").read_text()
    assert (
        "fine_tuning_all on bcresnet1 at a rate of 0.5: failed"
        in (folder / "tables.md").read_text()
    )
    page = (folder / "report.html").read_text()
    assert "The loss is nan." not in page
    failing.add(0.01)
    with pytest.raises(ValueError, match="The loss is nan"):
        run("--seeds=1", "--learning_rate=0.01")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds=1", "--task_epochs=3"), "with other settings or data"),
        (("--seeds=1", "--base_epochs=3"), "with other settings or data"),
        (("--seeds=0", "--test_snr_db=0,10"), "with other settings or data"),
        (("--seeds=1", "--folds=3", "--fold=0"), "of a cross-validation"),
    ],
)
def test_what_cannot_stand_beside_is_refused_before_anything_is_done(
    arguments, message, run, tmp_path
):
    before = run("--seeds=0")
    with pytest.raises(ValueError, match=message):
        run(*arguments, f"--beside={before}", output="new")
    assert not (tmp_path / "new").exists()


def test_other_seeds_of_the_same_settings_stand_beside(run):
    before = run("--seeds=0")
    folder = run("--seeds=1,2", f"--beside={before}", output="more")
    assert "3 seeds" in (folder / "tables.md").read_text()
