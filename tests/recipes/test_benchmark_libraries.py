"""Libraries of a benchmark, from jobs whose files are written here."""

import types

import keras
import pytest

from swr_keras.jobs.base import TrainBase, write_base
from swr_keras.jobs.model import AdaptModel
from swr_keras.methods import SWR
from swr_keras.recipes.benchmark_jobs import PlannedJob
from swr_keras.recipes.benchmark_libraries import write_libraries
from swr_keras.tasks.library import TaskLibrary
from swr_keras.training.fit import Fit
from swr_keras.training.task_model import TaskModel

GROUP = types.SimpleNamespace(title="resnet20, seed 0")
NAME = "resnet20-seed-0_c0.1"


class Store:
    """Folders of jobs, all of which but some were done."""

    def __init__(self, path, *, failed=()):
        self.path, self._failed = path, failed

    def folder(self, job):
        return self.path / job.address()

    def outcome(self, job):
        return None if job.task in self._failed else "done"


def done(path, tasks, *, seed, failed=()):
    """Writes what jobs on a base of this seed would have written."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    base = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(3, name="own")(inputs)))
    first = TrainBase(backbone="resnet20", fit=Fit(1), task="base", data="b", seed=seed)
    store, jobs = Store(path, failed=failed), []
    store.folder(first).mkdir(parents=True)
    write_base(store.folder(first), base, ("a", "b"))
    for task in tasks:
        job = AdaptModel(base=first, method=SWR(), target_cost=0.1, task=task, data=task, seed=seed)
        store.folder(job).mkdir()
        pack = TaskModel(base, ["own"]).pack()
        pack.save(store.folder(job) / "task.swr.safetensors")
        jobs.append(PlannedJob(job, GROUP, "swr"))
    return store, jobs


@pytest.mark.parametrize(
    ("later", "failed", "found"),
    [
        (("birds", "cars"), (), {"birds", "cars"}),
        (("birds",), (), {"birds"}),
        (("flowers",), (), {"flowers"}),
        (("birds", "cars"), ("cars",), {"birds"}),
    ],
)
def test_a_later_benchmark_replaces_the_tasks_of_an_earlier_one(later, failed, found, tmp_path):
    folder = tmp_path / "libraries"
    write_libraries(folder, *done(tmp_path / "first", ("birds", "cars"), seed=0))
    assert set(TaskLibrary.load(folder / NAME)) == {"birds", "cars"}
    store, jobs = done(tmp_path / "second", later, seed=1, failed=failed)
    write_libraries(folder, store, jobs)
    assert set(TaskLibrary.load(folder / NAME)) == found


@pytest.mark.parametrize("name", ["base.keras", "task.swr.safetensors"])
def test_damage_is_named_with_what_to_do(name, tmp_path):
    store, jobs = done(tmp_path / "store", ("birds",), seed=0)
    (damaged,) = store.path.glob(f"*/{name}")
    damaged.write_bytes(b"half")
    with pytest.raises(ValueError, match=f"remove the folder '{damaged.parent}' to do that job"):
        write_libraries(tmp_path / "libraries", store, jobs)
