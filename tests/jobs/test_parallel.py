"""Jobs side by side: the jobs are those of a module that other processes can import."""

import importlib
import os
import sys
import textwrap
import time

import pytest

from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.parallel import run_parallel

MODULE = """
    import dataclasses, os, pathlib, time
    from swr_keras.jobs.job import Job
    from swr_keras.jobs.result import Result

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Noted(Job):
        name: str
        after: tuple = ()
        outcome: str = "done"
        beside: str = ""

        title = property(lambda self: self.name)
        needs = property(lambda self: self.after)

        def settings(self):
            return {}

        def plan(self, task):
            return {"training": (1, 100)}

        def run(self, place):
            for need in self.needs:
                assert place.result(need).title == need.title
            with (place.path / "log").open("a") as log:
                log.write(f"{self.name} {os.getpid()}\\n")
            for _ in range(600):
                if self.beside in (place.path / "log").read_text():
                    break
                time.sleep(0.1)
            else:
                raise TimeoutError(f"{self.beside} did not begin.")
            if self.outcome == "fails":
                raise FloatingPointError("The loss is nan.")
            if self.outcome == "dies":
                os._exit(9)
            return Result(kind="base", title=self.title, task=self.task)
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes jobs by name, task and those that they need."""
    (tmp_path / "noted_jobs.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("noted_jobs", None)
    noted = importlib.import_module("noted_jobs").Noted

    def make(name, task, *after, **more):
        return noted(task=task, data="", seed=0, name=name, after=after, **more)

    return make


@pytest.fixture
def jobs(make):
    base = make("base", "one")
    short = [make(f"{task} short", task, base) for task in ("one", "two")]
    long = [make(f"{task} long", task, base) for task in ("one", "two")]
    return [base, *short, *long, *(make(f"{job.task} end", job.task, job) for job in long)]


def run(jobs, path, workers=2):
    folder, lines = RunFolder(path / "run"), []
    with folder.locked({}):
        tasks = {"one": None, "two": None}
        results = run_parallel(jobs, folder, tasks, workers=workers, report=lines.append)
    log = (path / "run" / "log").read_text().splitlines() if lines else []
    return [result.title for result in results], dict(line.rsplit(" ", 1) for line in log), lines


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_jobs(jobs, tmp_path, workers):
    titles, pids, _ = run(jobs, tmp_path, workers)
    assert titles == [job.title for job in jobs]
    assert pids["base"] == str(os.getpid())
    others = {pid for name, pid in pids.items() if name != "base"}
    assert (str(os.getpid()) in others) == (workers == 1)


def test_a_task_stays_in_its_process_and_the_longest_chain_goes_first(make, tmp_path):
    """Jobs wait for that of the other task to begin, so that no process is ever without work."""
    base = make("base", "one")

    def chain(task, other):
        short = make(f"{task} short", task, base, beside=f"{other} short")
        long = make(f"{task} long", task, base, beside=f"{other} long")
        return [short, long, make(f"{task} end", task, long, beside=f"{other} end")]

    _, pids, lines = run([base, *chain("one", "two"), *chain("two", "one")], tmp_path)
    assert len({pids["one long"], pids["one short"], pids["one end"]}) == 1
    assert pids["one long"] != pids["two long"]
    begun = [line for line in lines if line.endswith("begins")]
    assert {line.split()[1] for line in begun[:2]} == {"long"}
    assert any(line.startswith("[6/6] ") for line in lines)


def test_nothing_is_done_twice(jobs, tmp_path):
    run(jobs[:3], tmp_path)
    _, pids, lines = run(jobs, tmp_path)
    assert len((tmp_path / "run" / "log").read_text().splitlines()) == len(jobs)
    assert "3 of 7 jobs were done before." in lines
    assert run(jobs, tmp_path)[0] == [job.title for job in jobs]


@pytest.mark.parametrize("outcome", ["fails", "dies"])
def test_what_goes_wrong_stops_the_run_and_loses_nothing(make, jobs, tmp_path, outcome):
    broken = make("two broken", "two", jobs[0], outcome=outcome)
    message = "The loss is nan" if outcome == "fails" else "'two broken' was ended from outside"
    start = time.monotonic()
    with pytest.raises((FloatingPointError, OSError), match=message):
        run([*jobs[:2], broken], tmp_path)
    assert time.monotonic() - start < 60
    mended = make("two broken", "two", jobs[0])
    assert run([*jobs[:2], mended], tmp_path)[0] == ["base", "one short", "two broken"]
