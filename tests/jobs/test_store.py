import dataclasses
import errno
import json
import math
import re
import shutil

import pytest

from swr_keras.files import write_json
from swr_keras.jobs.base import TrainBase
from swr_keras.jobs.int8 import ConvertBase, ConvertInt8
from swr_keras.jobs.job import Job, timed
from swr_keras.jobs.model import AdaptModel, TryBase, swr_jobs
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import Outcome, PlaceWithTasks
from swr_keras.jobs.result import Result
from swr_keras.jobs.store import JobStore
from swr_keras.methods import SWR, ClassifierOnly, RandomPolicy
from swr_keras.training.fit import Fit

BASE = TrainBase(backbone="bcresnet1", fit=Fit(3), task="base", data="b", seed=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noted(Job):
    """A job that writes a file, and goes on from a state if it was killed."""

    name: str = "noted"
    after: tuple = ()
    fails: bool = dataclasses.field(default=False, compare=False)

    title = property(lambda self: self.name)
    needs = property(lambda self: self.after)

    def settings(self):
        return {}

    def run(self, place):
        print("a line on the terminal")
        for need in self.needs:
            assert (place.files(need) / "found.txt").read_text()
            assert place.result(need).title == need.title
        state = place.state(self, "training")
        went_on = state.exists()
        state.write_text("half")
        if self.fails:
            raise FloatingPointError("The loss is nan.")
        (place.files(self) / "found.txt").write_text(place.task(self))
        return Result(kind="base", title=self.title, task="went on" if went_on else "from anew")


def noted(*after, **more):
    return Noted(**{"task": "english", "data": "d", "seed": 0, "after": after, **more})


def do(job, store):
    return perform(job, store, lambda data: f"the task of {data}")


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path / "store")


def adapted(**changes):
    method = changes.pop("method", ClassifierOnly(fit=Fit(2, 1e-2)))
    values = {"base": BASE, "task": "english", "data": "d", "seed": 0, **changes}
    return AdaptModel(method=method, **values)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"data": "e"},
        {"base": dataclasses.replace(BASE, seed=1)},
        {"base": dataclasses.replace(BASE, data="c")},
        {"base": dataclasses.replace(BASE, backbone="bcresnet2")},
        {"base": dataclasses.replace(BASE, fit=Fit(4))},
        {"method": ClassifierOnly(fit=Fit(2, 2e-2))},
        {"method": ClassifierOnly(fit=Fit(2, 1e-2), batch_norm="statistics")},
        {"method": RandomPolicy(fit=Fit(2, 1e-2)), "target_cost": 0.1},
        {"method": RandomPolicy(fit=Fit(2, 1e-2)), "target_cost": 0.3},
        {"method": RandomPolicy(fit=Fit(2, 1e-2), draw=1), "target_cost": 0.3},
        {"method": RandomPolicy(fit=Fit(2, 1e-2), draw=1, cost="parameters"), "target_cost": 0.3},
    ],
    ids=str,
)
def test_whatever_the_outcome_depends_on_changes_the_address(changes):
    assert adapted(**changes).address() != adapted().address()
    assert adapted(**changes).address() == adapted(**changes).address()


def test_settings_of_a_search_change_the_address_of_what_comes_of_it():
    def addresses(method):
        jobs = swr_jobs([method], (0.1,), base=BASE, task="english", data="d", seed=0)
        return [job.address() for job in jobs]

    usual = addresses(SWR())
    learning = dataclasses.replace(SWR().learning, sample_gates=False)
    for other in (addresses(SWR(learning=learning)), addresses(SWR(batch_norm="affine"))):
        assert all(a != b for a, b in zip(usual, other, strict=True))
    differing = [a != b for a, b in zip(usual, addresses(SWR(tries=7)), strict=True)]
    assert differing == [False, True, True]


def test_names_do_not_change_the_address():
    assert adapted(task="en-US").address() == adapted().address()
    words = {"base": BASE, "class_names": ("a", "b"), "data": "d", "seed": 0}
    named = [TryBase(task=name, **words).address() for name in ("english", "other")]
    assert named[0] == named[1] != adapted().address()
    jobs = [
        swr_jobs([SWR()], (0.1,), base=BASE, task=name, data="d", seed=0) for name in ("one", "two")
    ]
    assert [job.title for job in jobs[0]] != [job.title for job in jobs[1]]
    assert [job.address() for job in jobs[0]] == [job.address() for job in jobs[1]]


def test_a_finished_job_is_in_a_folder_by_its_address(store):
    base = noted()
    job = noted(base, name="model")
    assert do(base, store) is None and do(job, store) is None
    folder = store.path / job.address()
    assert {path.name for path in folder.iterdir()} == {
        *("job.json", "outcome.json", "log.txt", "found.txt")
    }
    assert (folder / "found.txt").read_text() == "the task of d"
    assert "a line on the terminal" in (folder / "log.txt").read_text()
    assert json.loads((folder / "job.json").read_text())["title"] == "model"
    outcome = store.outcome(job)
    assert outcome.result == Result(kind="base", title="model", task="from anew")
    assert outcome.seconds >= 0 and outcome.versions["keras"]
    assert outcome.peak_memory_bytes is None or outcome.peak_memory_bytes > 2**20


def test_a_job_that_fails_leaves_its_log_and_goes_on_from_its_state(store):
    failing = noted(fails=True)
    assert do(failing, store) == "FloatingPointError: The loss is nan."
    assert store.outcome(failing) is None
    log = store.log(failing).read_text()
    assert "a line on the terminal" in log and "Traceback" in log and "The loss is nan" in log
    assert do(noted(), store) is None
    assert store.outcome(noted()).result.task == "went on"
    assert not store.attempt(noted()).exists()


def test_what_a_killed_write_left_is_removed(store):
    store.begin(noted())
    left = store.attempt(noted()) / ".swr-unfinished-1-task.safetensors"
    left.write_bytes(b"half")
    assert do(noted(), store) is None
    assert not list(store.path.rglob(left.name))


def test_a_job_is_held_by_one_process_at_a_time(store):
    claim = store.claim(noted())
    assert claim is not None
    assert JobStore(store.path).claim(noted()) is None
    assert store.claim(noted(seed=1)) is not None
    claim()
    assert store.claim(noted()) is not None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "swr_keras.outcome/1"}', "{" * 9])
def test_a_damaged_outcome_is_named(text, store):
    do(noted(), store)
    (store.folder(noted()) / "outcome.json").write_text(text)
    with pytest.raises(ValueError, match="is damaged.*to do this job again"):
        store.outcome(noted())


@pytest.mark.parametrize("left", [(), ("job.json", "log.txt"), ("found.txt",)])
def test_a_job_whose_outcome_was_lost_is_done_again(left, store):
    do(noted(), store)
    folder = store.folder(noted())
    whole = {path.name for path in folder.iterdir()}
    for path in list(folder.iterdir()):
        if path.name not in left:
            path.unlink()
    assert store.outcome(noted()) is None
    assert do(noted(), store) is None
    assert store.outcome(noted()).result.task == "from anew"
    assert {path.name for path in folder.iterdir()} == whole
    assert not store.attempt(noted()).exists()


def _jobs_that_read():
    """Jobs by the file that they read, each with the job that wrote it and the call that reads."""
    model = adapted()
    search, choice, _ = swr_jobs([SWR()], (0.1,), base=BASE, task="english", data="d", seed=0)
    common = {"calibration_examples": 1, "task": "english", "data": "d", "seed": 0}
    base_int8 = ConvertBase(base=BASE, **common)
    int8 = ConvertInt8(model=model, base=None, **common)
    return {
        "base.json": (BASE, lambda place: place.base(BASE)),
        "policies.safetensors": (search, choice.run),
        "policy.json": (choice, lambda place: choice.chosen(place, with_supernet=False)),
        "model.keras": (model, int8.run),
        "base_int8.tflite": (base_int8, base_int8.converted),
    }


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
@pytest.mark.parametrize("name", _jobs_that_read())
def test_what_a_job_wrote_and_was_damaged_is_named_with_what_to_do(name, content, store):
    wrote, read = _jobs_that_read()[name]
    store.begin(wrote)
    if content is not None:
        (store.files(wrote) / name).write_bytes(content)
    result = Result(kind="base", title=wrote.title, task="english")
    store.finish(wrote, Outcome(result=result, seconds=1.0, peak_memory_bytes=1, versions={}))
    told = f"{wrote.title}' wrote can't be used; remove the folder '{store.folder(wrote)}'"
    with pytest.raises(ValueError, match=re.escape(told)):
        read(PlaceWithTasks(store, lambda data: None, 0))
    shutil.rmtree(store.folder(wrote))
    assert store.outcome(wrote) is None


@pytest.mark.parametrize("name", ["job.json", "log.txt", "outcome.json"])
def test_a_job_whose_files_cannot_be_written_fails_alone_and_goes_on_later(
    name, store, monkeypatch
):
    def write(path, values):
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_json(path, values)

    monkeypatch.setattr("swr_keras.jobs.store.write_json", write)
    log = store.attempt(noted()) / "log.txt"
    if name == log.name:
        log.mkdir(parents=True)
    assert f"{name}'" in do(noted(), store)
    assert store.outcome(noted()) is None
    monkeypatch.undo()
    if log.is_dir():
        log.rmdir()
    assert do(noted(), store) is None
    trained_before = name == "outcome.json"
    assert store.outcome(noted()).result.task == ("went on" if trained_before else "from anew")


def test_files_go_from_store_to_store(store, tmp_path):
    do(noted(), store)
    other = JobStore(tmp_path / "other")
    other.write_files(noted(), store.read_files(noted()))
    assert other.outcome(noted()) == store.outcome(noted())
    assert other.read_files(noted()) == store.read_files(noted())
    half = noted(seed=1, fails=True)
    do(half, store)
    other.write_files(half, store.read_files(half))
    assert other.outcome(half) is None
    assert "nan" in other.log(half).read_text()


@pytest.mark.parametrize(
    "name", ["../found.txt", "/tmp/found.txt", "..", ".", "a/b", "a\\b", "c:x", ""]
)
def test_files_stay_in_their_folder(name, store):
    with pytest.raises(ValueError, match="has the name"):
        store.write_files(noted(), {name: b"x"})


def test_a_need_that_is_not_finished_is_an_error(store):
    with pytest.raises(ValueError, match="isn't finished"):
        PlaceWithTasks(store, lambda data: None, 0).result(noted())


def test_an_outcome_can_be_told_in_json(store):
    logs = [{"val_loss": value, "seconds": 1.0} for value in (math.nan, math.inf, 2.0)]
    result = Result(kind="base", title="b", task="t", **timed({"training": logs}))
    assert result.histories["training"]["val_loss"] == [None, None, 2.0]
    store.begin(noted())
    outcome = Outcome(result=result, seconds=1.0, peak_memory_bytes=None, versions={"a": "1"})
    store.finish(noted(), outcome)
    assert store.outcome(noted()) == outcome
