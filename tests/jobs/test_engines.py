"""The same jobs on every engine, in processes of their own."""

import functools
import importlib
import os
import pathlib
import sys

import pytest

from swr_keras.jobs.local_engine import LocalEngine
from swr_keras.jobs.ray_engine import RayEngine
from swr_keras.jobs.schedule import run_jobs
from swr_keras.jobs.store import JobStore

sys.path.insert(0, str(pathlib.Path(__file__).parent))
scripted = importlib.import_module("engine_jobs")

ENGINES = [
    pytest.param(functools.partial(LocalEngine, workers=2), id="local"),
    pytest.param(functools.partial(RayEngine, address=None), id="ray", marks=pytest.mark.slow),
]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    folder = tmp_path / "begun"
    folder.mkdir()

    def make(name, data, *after, **more):
        common = {"task": "english", "seed": 0, "folder": str(folder)}
        return scripted.Scripted(name=name, data=data, after=after, **common, **more)

    make.begun = lambda name: (folder / name).read_text().split()
    return make


def run(jobs, path, engine):
    store = JobStore(path / "store")
    lines = []
    failures = run_jobs(
        jobs,
        store,
        engine(store, scripted.load, threads=1),
        names={job.address(): job.title for job in jobs},
        work={job.address(): 1.0 for job in jobs},
        report=lines.append,
    )
    return store, failures, lines


@pytest.mark.parametrize("engine", ENGINES)
def test_jobs_run_side_by_side_and_find_the_files_of_their_needs(engine, make, tmp_path):
    base = make("base", "1")
    left = make("left", "22", base, beside="right")
    right = make("right", "333", base, beside="left")
    last = make("last", "4444", left, right)
    jobs = [base, left, right, last]
    store, failures, _ = run(jobs, tmp_path, engine)
    assert failures == []
    # 1, 2 + 1, 3 + 1, 4 + 3 + 4
    assert [store.outcome(job).result.task for job in jobs] == ["1", "3", "4", "11"]
    assert (store.folder(last) / "total.txt").read_text() == "11"
    assert "last runs" in (store.folder(last) / "log.txt").read_text()
    assert make.begun("left") != make.begun("right")
    assert str(os.getpid()) not in make.begun("base")


def test_a_process_does_some_jobs_and_makes_room_for_another(make, tmp_path, monkeypatch):
    monkeypatch.setattr("swr_keras.jobs.local_engine._MOST_JOBS", 2)
    jobs = [make(f"job {number}", "1") for number in range(3)]
    _, failures, _ = run(jobs, tmp_path, functools.partial(LocalEngine, workers=1))
    assert failures == []
    first, second, third = (make.begun(job.title) for job in jobs)
    assert first == second != third


@pytest.mark.parametrize("engine", ENGINES)
def test_a_job_that_fails_is_reported_with_its_log(engine, make, tmp_path):
    base = make("base", "1")
    broken = make("broken", "1", base, outcome="fails")
    jobs = [base, broken, make("last", "1", broken), make("other", "1", base)]
    store, failures, _ = run(jobs, tmp_path, engine)
    assert [failure.job.title for failure in failures] == ["broken", "last"]
    assert "FloatingPointError: The loss is nan." in failures[0].reason
    assert "Traceback" in failures[0].log.read_text()
    assert store.outcome(jobs[3])
    mended = make("broken", "1", base)
    assert mended.address() == broken.address()
    _, failures, lines = run([base, mended, make("last", "1", mended)], tmp_path, engine)
    assert failures == []
    assert "1 of 3 jobs were done before." in lines


def test_a_process_that_is_killed_fails_its_job_alone_after_a_second_attempt(make, tmp_path):
    base = make("base", "1")
    others = [make(f"other {number}", "1", base) for number in range(3)]
    dying = make("dying", "1", base, outcome="dies")
    once = make("once", "22", base, outcome="dies once")
    engine = functools.partial(LocalEngine, workers=2)
    store, failures, lines = run([base, dying, once, *others], tmp_path, engine)
    assert [failure.job.title for failure in failures] == ["dying"]
    assert "ended from outside" in failures[0].reason
    assert len(make.begun("dying")) == len(make.begun("once")) == 2
    assert store.outcome(once).result.task == "3"
    assert any(line.startswith("once: its process was ended") for line in lines)
    assert all(store.outcome(job) for job in others)


@pytest.mark.slow
def test_a_job_whose_ray_worker_is_killed_is_done_again(make, tmp_path):
    base = make("base", "1")
    dying = make("dying", "22", base, outcome="dies once", beside="other")
    other = make("other", "1", base, beside="dying")
    engine = functools.partial(RayEngine, address=None)
    store, failures, _ = run([base, dying, other], tmp_path, engine)
    assert failures == []
    assert len(make.begun("dying")) == 2
    assert store.outcome(dying).result.task == "3"


def test_ray_is_asked_for_where_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"swr-keras\[ray\]"):
        RayEngine(JobStore(tmp_path), scripted.load, address=None, threads=1)
