"""Which job is next, with an engine that does them in this process."""

import concurrent.futures
import dataclasses
import threading
import time

import pytest

from swr_keras.jobs.job import Job
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.result import Result
from swr_keras.jobs.schedule import run_jobs
from swr_keras.jobs.store import JobStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named(Job):
    name: str
    after: tuple = ()

    title = property(lambda self: self.name)
    needs = property(lambda self: self.after)

    def settings(self):
        return {"name": self.name}

    def run(self, place):
        raise NotImplementedError


class Engine:
    """Finishes what it begins at once, but for what is to fail."""

    def __init__(self, store, fails=(), slots=2):
        self.store, self.fails, self.slots = store, fails, slots
        self.begun, self.closed, self.most, self.now = [], False, 0, 0

    def choose(self, ready):
        return ready[0]

    def begin(self, job):
        for need in job.needs:
            assert self.store.outcome(need)
        self.begun.append(job.title)
        self.now += 1
        self.most = max(self.most, self.now)
        future = concurrent.futures.Future()
        future.set_result(None)
        return future

    def end(self, job, future):
        self.now -= 1
        self.store.begin(job)
        if job.title in self.fails:
            return "the loss is nan"
        result = Result(kind="base", title=job.title, task=job.task)
        outcome = Outcome(result=result, seconds=0.0, peak_memory_bytes=None, versions={})
        self.store.finish(job, outcome)
        return None

    def close(self):
        self.closed = True


def make(name, *after):
    return Named(task="english", data="d", seed=0, name=name, after=after)


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path)


@pytest.fixture
def jobs():
    base = make("base")
    search = make("search", base)
    choice = make("choice", search)
    return [base, make("classifier", base), search, choice, make("swr", base, choice)]


def run(jobs, store, engine):
    lines = []
    failures = run_jobs(
        jobs,
        store,
        engine,
        names={job.address(): job.title for job in jobs},
        plans={job.address(): {"training": (1, 100)} for job in jobs},
        report=lines.append,
    )
    assert engine.closed
    return failures, lines


def test_jobs_are_done_once_after_their_needs_the_longest_chain_first(jobs, store):
    engine = Engine(store, slots=1)
    failures, lines = run([*jobs, *jobs], store, engine)
    assert failures == []
    assert engine.begun == ["base", "search", "choice", "classifier", "swr"]
    assert lines[-1].startswith("[5/5] ") and "about 0:00 min left" in lines[-1]
    again = Engine(store)
    assert run(jobs, store, again)[1] == ["5 of 5 jobs were done before."]
    assert again.begun == []


def test_so_many_at_a_time_as_there_are_slots(store):
    base = make("base")
    engine = Engine(store, slots=3)
    run([base, *(make(str(n), base) for n in range(9))], store, engine)
    assert engine.most == 3


def test_a_job_that_fails_stops_those_that_need_it_and_no_other(jobs, store):
    failures, lines = run(jobs, store, Engine(store, fails=("search",)))
    assert [failure.job.title for failure in failures] == ["search", "choice", "swr"]
    assert "the loss is nan" in str(failures[0])
    assert "needs 'search'" in str(failures[1])
    assert store.outcome(jobs[1]) and not store.outcome(jobs[2])
    assert sum("FAILED" in line for line in lines) == 3
    mended = Engine(store)
    assert run(jobs, store, mended)[0] == []
    assert mended.begun == ["search", "choice", "swr"]


def test_a_job_that_another_process_does_is_waited_for(jobs, store):
    held, elsewhere = threading.Event(), Engine(store)

    def do_elsewhere():
        claim = JobStore(store.path).claim(jobs[0])
        held.set()
        time.sleep(1.0)
        elsewhere.end(jobs[0], None)
        claim()

    other = threading.Thread(target=do_elsewhere)
    other.start()
    held.wait()
    engine = Engine(store)
    failures, _ = run(jobs, store, engine)
    other.join()
    assert failures == []
    assert "base" not in engine.begun and len(engine.begun) == 4


def test_what_an_engine_raises_ends_the_run_and_frees_the_jobs(jobs, store):
    engine = Engine(store)
    engine.end = lambda job, future: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run(jobs, store, engine)
    assert engine.closed
    assert store.claim(jobs[0]) is not None
