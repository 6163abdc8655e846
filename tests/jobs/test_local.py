import dataclasses

import pytest

from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.job import Job
from swr_keras.jobs.local import run_local
from swr_keras.jobs.result import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted(Job):
    """A job that says when it runs, and fails where it is told to."""

    name: str
    ran: list = dataclasses.field(default_factory=list, compare=False, repr=False)
    after: tuple = ()
    fails: bool = dataclasses.field(default=False, compare=False)

    @property
    def title(self):
        return self.name

    @property
    def needs(self):
        return self.after

    def settings(self):
        return {}

    def plan(self, task):
        return {"training": (4, 100)}

    def run(self, place):
        place.state(self, "training")
        for need in self.needs:
            assert place.result(need).title == need.title
        self.ran.append(self.name)
        if self.fails:
            raise FloatingPointError("The loss is nan.")
        return Result(kind="base", title=self.title, task=self.task)


@pytest.fixture
def ran():
    return []


@pytest.fixture
def make(ran):
    def make(name, *after, seed=0, **more):
        return Counted(task="english", data="", seed=seed, name=name, ran=ran, after=after, **more)

    return make


def run(jobs, path, lines=None):
    folder = RunFolder(path / "run")
    with folder.locked({}):
        report = (lines if lines is not None else []).append
        return run_local(jobs, folder, {"english": None}, report=report)


def test_jobs_run_in_order_and_never_twice(make, ran, tmp_path):
    base = make("base")
    jobs = [base, make("search", base), make("model", base)]
    assert [result.title for result in run(jobs, tmp_path)] == ["base", "search", "model"]
    assert ran == ["base", "search", "model"]
    more, lines = [*jobs, make("another", base)], []
    assert len(run(more, tmp_path, lines)) == 4
    assert ran[3:] == ["another"]
    assert lines[0] == "3 of 4 jobs were done before."
    assert lines[1].startswith("\n[1/1] another")


def test_a_job_that_fails_is_done_again_and_others_are_not(make, ran, tmp_path):
    base = make("base")
    with pytest.raises(FloatingPointError):
        run([base, make("model", base, fails=True)], tmp_path)
    assert [r.title for r in run([base, make("model", base)], tmp_path)] == ["base", "model"]
    assert ran == ["base", "model", "model"]


def test_other_settings_are_refused_before_anything_runs(make, ran, tmp_path):
    run([make("base")], tmp_path)
    with pytest.raises(ValueError, match="base:\n  seed: 0 there, 1 now"):
        run([make("new"), make("base", seed=1)], tmp_path)
    assert ran == ["base"]


def test_states_go_with_the_job(make, tmp_path):
    run([make("base")], tmp_path)
    assert not list((tmp_path / "run").rglob("states"))


def test_a_digest_tells_jobs_apart_by_all_that_they_depend_on(make):
    base, other = make("base"), make("base", seed=1)
    assert make("model", base).digest() == make("model", make("base")).digest()
    assert make("model", base).digest() != make("model", other).digest()
    assert make("model", base).digest() != make("model").digest()
