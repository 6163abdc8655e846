import os
import subprocess
import sys

import pytest

from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.job import Job
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.result import Result

SETTINGS = {"seed": 0, "target_cost": (0.1, 0.3), "base": None}


class Stub(Job):
    """A job of which only the title and some settings are known."""

    def __init__(self, title="english: SWR at c = 0.1", seed=0, **more):
        object.__setattr__(self, "__dict__", {"task": "english", "data": "", "seed": seed})
        self.__dict__.update(named=title, more=more)

    @property
    def title(self):
        return self.named

    def settings(self):
        return self.more

    def run(self, place):
        return Result(kind="base", title=self.title, task=self.task)


def outcome(job):
    return Outcome(result=job.run(None), seconds=1.0, peak_memory_bytes=None, versions={})


def test_a_new_folder_keeps_what_jobs_were_and_found(tmp_path):
    folder, job = RunFolder(tmp_path / "a" / "run"), Stub()
    assert not folder.resumed
    with folder.locked(SETTINGS):
        assert folder.result(job) is None
        folder.begin(job)
        folder.finish(job, outcome(job))
    again = RunFolder(tmp_path / "a" / "run")
    assert again.resumed
    again.check([job, Stub("another job")])
    assert again.result(job) == job.run(None)


def test_states_go_with_the_job(tmp_path):
    folder, job = RunFolder(tmp_path / "run"), Stub()
    with folder.locked(SETTINGS):
        folder.begin(job)
        folder.state(job, "training").touch()
        folder.begin(job)
        assert folder.state(job, "training").exists()
        folder.finish(job, outcome(job))
    assert not list((tmp_path / "run").rglob("states"))


def test_a_job_that_was_done_otherwise_is_refused_with_the_difference(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(SETTINGS):
        folder.begin(Stub(fit={"epochs": 2, "batch_size": 64}))
    with pytest.raises(ValueError) as caught:
        folder.check([Stub(seed=1, fit={"epochs": 3, "batch_size": 64})])
    assert "SWR at c = 0.1:\n" in str(caught.value)
    assert "seed: 0 there, 1 now" in str(caught.value)
    assert "fit.epochs: 2 there, 3 now" in str(caught.value)
    assert "batch_size" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": "x"}', "[" * 5000])
def test_what_is_damaged_is_named(text, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(SETTINGS):
        folder.begin(Stub())
    (folder.folder(Stub()) / "result.json").write_text(text)
    with pytest.raises(ValueError, match="result.json' is damaged.*Remove the folder"):
        folder.result(Stub())
    (folder.folder(Stub()) / "job.json").write_text(text)
    with pytest.raises(ValueError, match="job.json' is damaged|holds a run with other settings"):
        folder.check([Stub()])


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(ValueError, match="holds files of no run"):
        RunFolder(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        RunFolder(tmp_path / "precious")
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_only_one_process_writes_a_folder(tmp_path):
    hold = (
        "import pathlib, sys\n"
        "from swr_keras.jobs.folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).locked({}):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match="Another run is writing"),
            RunFolder(tmp_path / "run").locked(SETTINGS),
        ):
            pass
        other.kill()
    with RunFolder(tmp_path / "run").locked(SETTINGS):
        pass


@pytest.mark.parametrize("names", [("c++", "c-"), ("en-US", "en US"), ("की", "का"), ("A", "a")])
def test_each_job_has_a_folder_of_its_own(names, tmp_path):
    folder = RunFolder(tmp_path)
    first, second = (folder.folder(Stub(f"{name}: policy search")) for name in names)
    assert first != second
    assert len(folder.folder(Stub("x" * 300)).name) < 100


def test_half_written_files_of_a_killed_run_are_removed_and_no_others(tmp_path):
    script = (
        "import os, pathlib, sys\n"
        "from swr_keras.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.touch()\n"
        "    os._exit(9)\n"
    )
    run = tmp_path / "run"
    with RunFolder(run).locked(SETTINGS):
        pass
    for path in (run / "settings.json", run / "jobs" / "base.safetensors"):
        subprocess.run([sys.executable, "-c", script, path], check=False)
    users = run / "jobs" / ".2024.notes"
    users.touch()
    assert len(list(run.rglob(".*"))) == 3
    with RunFolder(run).locked(SETTINGS):
        assert list(run.rglob(".*")) == [users]


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError), RunFolder(tmp_path / "run").locked(SETTINGS):
        pass
