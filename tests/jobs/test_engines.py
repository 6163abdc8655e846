"""The same jobs on every engine and in every kind of place."""

import contextlib
import functools
import importlib
import os
import pathlib
import re
import signal
import sys
import time

import pytest

from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.local_engine import LocalEngine
from swr_keras.jobs.ray_engine import RayEngine
from swr_keras.jobs.schedule import run_jobs
from swr_keras.jobs.serial_engine import SerialEngine
from swr_keras.jobs.store import JobStore

sys.path.insert(0, str(pathlib.Path(__file__).parent))
scripted = importlib.import_module("engine_jobs")

TWO = functools.partial(LocalEngine, workers=2, threads=1)
ONE = functools.partial(LocalEngine, workers=1, threads=1)
RAY = functools.partial(RayEngine, address=None, threads=1)

STORE_RAY = pytest.param(JobStore, RAY, id="ray", marks=pytest.mark.slow)
SIDE_BY_SIDE = [
    pytest.param(JobStore, TWO, id="store"),
    pytest.param(RunFolder, TWO, id="run folder"),
    STORE_RAY,
]
IN_TURN = [
    pytest.param(JobStore, SerialEngine, id="serial store"),
    pytest.param(RunFolder, SerialEngine, id="serial run folder"),
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


def run(jobs, path, engine=TWO, kind=JobStore, hear=lambda line: None):
    place, lines = kind(path / "place"), []

    def report(line):
        lines.append(line)
        hear(line)

    with place.locked({}) if kind is RunFolder else contextlib.nullcontext():
        failures = run_jobs(
            jobs,
            place,
            engine(place, scripted.load),
            names={place.key(job): job.title for job in jobs},
            plans={place.key(job): job.plan(None) for job in jobs},
            report=report,
        )
    return place, failures, lines


@pytest.mark.parametrize(("kind", "engine"), SIDE_BY_SIDE)
def test_jobs_run_side_by_side_and_find_the_files_of_their_needs(kind, engine, make, tmp_path):
    base = make("base", "1")
    left = make("left", "22", base, beside="right")
    right = make("right", "333", base, beside="left")
    last = make("last", "4444", left, right)
    jobs = [base, left, right, last]
    place, failures, _ = run(jobs, tmp_path, engine, kind)
    assert failures == []
    # 1, 2 + 1, 3 + 1, 4 + 3 + 4
    assert [place.result(job).task for job in jobs] == ["1", "3", "4", "11"]
    assert (place.files(last) / "total.txt").read_text() == "11"
    assert "last runs" in place.log(last).read_text()
    assert make.begun("left") != make.begun("right")
    assert str(os.getpid()) not in make.begun("base")


@pytest.mark.parametrize(("kind", "engine"), IN_TURN)
def test_jobs_run_in_turn_in_this_process_and_on_the_terminal(kind, engine, make, tmp_path, capsys):
    base = make("base", "1")
    jobs = [base, make("one", "22", base), make("two", "333", base), make("also one", "22", base)]
    place, failures, lines = run(jobs, tmp_path, engine, kind)
    assert failures == []
    assert [place.result(job).task for job in jobs] == ["1", "3", "4", "3"]
    assert {*make.begun("base"), *make.begun("one")} == {str(os.getpid())}
    assert capsys.readouterr().out.splitlines() == [
        *("base runs", "one runs", "also one runs", "two runs")
    ]
    assert not place.log(base).exists()
    assert run(jobs, tmp_path, engine, kind)[2] == ["4 of 4 jobs were done before."]


def test_a_process_does_some_jobs_and_makes_room_for_another(make, tmp_path, monkeypatch):
    monkeypatch.setattr("swr_keras.jobs.local_engine.MOST_JOBS", 2)
    jobs = [make(f"job {number}", "1") for number in range(3)]
    _, failures, _ = run(jobs, tmp_path, ONE)
    assert failures == []
    first, second, third = (make.begun(job.title) for job in jobs)
    assert first == second != third


def test_a_task_stays_in_its_process_and_the_longest_chain_goes_first(make, tmp_path):
    """Jobs wait for that of the other task to begin, so that no process is ever without work."""
    base = make("base", "1")

    def chain(data, other):
        short = make(f"{data} short", data, base, beside=f"{other} short")
        long = make(f"{data} long", data, base, beside=f"{other} long")
        return [short, long, make(f"{data} end", data, long, beside=f"{other} end")]

    _, failures, lines = run([base, *chain("22", "333"), *chain("333", "22")], tmp_path)
    assert failures == []
    assert make.begun("22 long") == make.begun("22 short") == make.begun("22 end")
    assert make.begun("22 long") != make.begun("333 long")
    begun = [line for line in lines if line.endswith("begins")]
    assert {line.split()[1] for line in begun[1:3]} == {"long"}


def test_what_needs_no_other_may_be_done_by_another_engine(make, tmp_path):
    def engine(place, load):
        return TWO(place, load, first=SerialEngine(place, load))

    base = make("base", "1")
    jobs = [base, make("one", "22", base), make("broken", "1", outcome="fails")]
    place, failures, _ = run(jobs, tmp_path, engine, RunFolder)
    assert [failure.job.title for failure in failures] == ["broken"]
    assert place.result(jobs[1]).task == "3"
    assert make.begun("base") == make.begun("broken") == [str(os.getpid())] != make.begun("one")


@pytest.mark.parametrize(("kind", "engine"), [*SIDE_BY_SIDE, *IN_TURN])
def test_a_job_that_fails_is_reported_with_its_log(kind, engine, make, tmp_path):
    base = make("base", "1")
    broken = make("broken", "1", base, outcome="fails")
    jobs = [base, broken, make("last", "1", broken), make("other", "1", base)]
    place, failures, lines = run(jobs, tmp_path, engine, kind)
    assert [failure.job.title for failure in failures] == ["broken", "last"]
    assert "FloatingPointError: The loss is nan." in failures[0].reason
    assert "Traceback" in failures[0].log.read_text()
    assert f"The loss is nan.; see {failures[0].log}" in str(failures[0])
    assert failures[1].log is None
    assert sum("FAILED" in line for line in lines) == 2
    assert place.result(jobs[3])
    mended = make("broken", "1", base)
    assert mended.address() == broken.address()
    again = [base, mended, make("last", "1", mended)]
    _, failures, lines = run(again, tmp_path, engine, kind)
    assert failures == []
    assert "1 of 3 jobs were done before." in lines


@pytest.mark.parametrize("kind", [JobStore, RunFolder])
def test_a_process_that_is_killed_fails_its_job_alone_after_a_second_attempt(kind, make, tmp_path):
    base = make("base", "1")
    others = [make(f"other {number}", "1", base) for number in range(3)]
    dying = make("dying", "1", base, outcome="dies")
    once = make("once", "22", base, outcome="dies once")
    place, failures, lines = run([base, dying, once, *others], tmp_path, kind=kind)
    assert [failure.job.title for failure in failures] == ["dying"]
    assert "ended from outside" in failures[0].reason
    assert len(make.begun("dying")) == len(make.begun("once")) == 2
    assert place.result(once).task == "3"
    assert any(line.startswith("once: its process was ended") for line in lines)
    assert all(place.result(job) for job in others)


def test_a_process_that_is_ended_while_it_is_idle_is_replaced(make, tmp_path):
    def kill(line):
        if line.startswith("[1/2]"):
            os.kill(int(make.begun("first")[0]), signal.SIGKILL)
            time.sleep(1.0)

    first = make("first", "1")
    _, failures, _ = run([first, make("second", "1", first)], tmp_path, ONE, hear=kill)
    assert failures == []
    assert make.begun("second") != make.begun("first")


@pytest.mark.parametrize(("kind", "engine"), IN_TURN)
def test_a_person_who_interrupts_a_job_loses_no_other(kind, engine, make, tmp_path):
    base = make("base", "1")
    with pytest.raises(KeyboardInterrupt):
        run([base, make("long", "1", base, outcome="is interrupted")], tmp_path, engine, kind)
    jobs = [base, make("long", "1", base)]
    place, failures, lines = run(jobs, tmp_path, engine, kind)
    assert failures == [] and place.result(jobs[1])
    assert lines[0] == "1 of 2 jobs were done before."


def test_a_person_who_interrupts_processes_ends_them(make, tmp_path, monkeypatch):
    slow = make("slow", "1", beside="what never begins")

    def wait(*arguments, **more):
        while not (tmp_path / "begun" / "slow").exists():
            time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr("swr_keras.jobs.schedule.concurrent.futures.wait", wait)
    with pytest.raises(KeyboardInterrupt):
        run([slow], tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(make.begun("slow")[0]), 0)
    assert JobStore(tmp_path / "place").claim(slow) is not None


@pytest.mark.slow
def test_a_job_whose_ray_worker_is_killed_is_done_again(make, tmp_path):
    base = make("base", "1")
    dying = make("dying", "22", base, outcome="dies once", beside="other")
    other = make("other", "1", base, beside="dying")
    place, failures, _ = run([base, dying, other], tmp_path, RAY)
    assert failures == []
    assert len(make.begun("dying")) == 2
    assert place.result(dying).task == "3"


def test_ray_is_asked_for_where_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"swr-keras\[ray\]"):
        RAY(JobStore(tmp_path), scripted.load)


@pytest.mark.parametrize("engine", [SerialEngine, ONE])
def test_only_jobs_that_train_are_done_under_a_strategy(engine, make, tmp_path, capsys):
    jobs = [make("model", "1"), make("int8", "1", trains=False)]
    mirrored = functools.partial(engine, strategy="mirrored")
    place, failures, _ = run(jobs, tmp_path, mirrored)
    assert failures == []
    shown = capsys.readouterr().out
    told = [shown] if engine is SerialEngine else [place.log(job).read_text() for job in jobs]
    found = re.findall("(.*) runs(.*)", "".join(told))
    assert found == [("model", " under a strategy"), ("int8", "")]
