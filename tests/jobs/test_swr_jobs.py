"""Jobs of SWR and of its ablations, side by side in one run."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest

from swr_keras.accounting import owned_parameters, summary
from swr_keras.jobs.base import GivenBase, TrainBase
from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.model import AdaptModel, swr_jobs
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import PlaceWithTasks
from swr_keras.jobs.schedule import run_jobs
from swr_keras.jobs.serial_engine import SerialEngine
from swr_keras.jobs.store import JobStore
from swr_keras.methods import (
    SWR,
    ClassifierOnly,
    FineTuningAll,
    PolicyLearning,
    RandomPolicy,
    ablations,
)
from swr_keras.tasks.pack import TaskPack, fingerprint
from swr_keras.training.fit import Fit, SearchFit
from swr_keras.training.given_data import GivenData

TRAINED = TrainBase(backbone="bcresnet1", fit=Fit(3), task="base", data="b", seed=3)
PAPER = SWR(
    fit=Fit(30),
    batch_norm="affine",
    cost="parameters",
    reading="threshold",
    learning=PolicyLearning(
        supernet=Fit(30), sample_gates=False, search=SearchFit(30, 1e-3, cost_weight=1.0)
    ),
)
EVERY = [SWR(), *ablations(SWR()).values()]


def planned(methods, costs=(0.1,), base=TRAINED):
    return swr_jobs(methods, costs, base=base, task="english", data="d", seed=3)


@pytest.mark.parametrize(
    ("method", "digests"),
    [
        (SWR(), ("762dc7999e86d96e", "adc767fa7ef26254", "08ca9fc2008c12f9")),
        (PAPER, ("d6ea0e0c2072a146", "90205e0eabde0244", "b92f02b9515e3d64")),
        (
            SWR(first_layer="x"),
            ("762dc7999e86d96e", "1ec4f873e89ea387", "269ec16f5dd33534"),
        ),
    ],
)
def test_jobs_of_settings_from_before_there_were_ablations_are_the_same(method, digests):
    jobs = planned([method])
    assert tuple(job.digest()[:16] for job in jobs) == digests
    assert [job.title for job in jobs] == [
        "english: policy search",
        "english: policy at c = 0.1",
        "english: SWR at c = 0.1",
    ]


def test_jobs_of_a_fit_from_before_it_had_optimizers_and_smoothing_are_the_same():
    base = TrainBase(backbone="bcresnet1", fit=Fit(3, 5e-3), task="base", data="b", seed=0)
    assert base.digest()[:16] == "8c4d73b5aa1351ca"
    method = ClassifierOnly(fit=Fit(2, 1e-2))
    job = AdaptModel(base=base, method=method, task="english", data="d", seed=0)
    assert job.digest()[:16] == "aeb5eac8f43e64c8"
    for changes in ({"optimizer": "sgd"}, {"weight_decay": 1e-4}, {"label_smoothing": 0.3}):
        fit = dataclasses.replace(method.fit, **changes)
        other = dataclasses.replace(job, method=ClassifierOnly(fit=fit))
        assert other.digest() != job.digest()
        assert dataclasses.replace(base, fit=fit).digest() != base.digest()


@pytest.mark.parametrize(
    ("method", "digest"),
    [(RandomPolicy(draw=2), "c1d746d69c3625a8"), (FineTuningAll(), "757bdb2b9858baa7")],
)
def test_jobs_of_other_methods_are_the_same(method, digest):
    common = {"task": "english", "data": "d", "seed": 3}
    job = AdaptModel(base=TRAINED, method=method, target_cost=0.1, **common)
    assert job.digest()[:16] == digest


def test_each_job_stands_behind_those_that_it_needs_and_is_told_apart(tmp_path):
    jobs = planned(EVERY, (0.1, 0.3))
    for number, job in enumerate(jobs):
        assert all(need is TRAINED or need in jobs[:number] for need in job.needs)
    titles = [job.title for job in jobs]
    assert len(set(titles)) == len(titles)
    place = RunFolder(tmp_path)
    models = [job for job in jobs if isinstance(job, AdaptModel)]
    folders = {str(place.files(job).relative_to(tmp_path / "english")) for job in models}
    assert len(folders) == len(models) == 2 * len(EVERY)
    assert {"c0.1", "SWR-not-staged_c0.1", "SWR-super-net-weight_c0.3"} < folders
    outcomes = [job.outcome(place) for job in jobs if hasattr(job, "outcome")]
    assert len(set(outcomes)) == len(outcomes)
    assert tmp_path / "english" / "policies.safetensors" in outcomes
    assert tmp_path / "english" / "c0.1" / "policy.json" in outcomes


def test_what_is_learned_alike_is_learned_once():
    kinds = [type(job).__name__ for job in planned(EVERY, (0.1, 0.3, 0.5))]
    # Not staged has none; the super-net's weights are those of SWR itself.
    assert kinds.count("LearnPolicies") == 5
    assert kinds.count("ChoosePolicy") == 5 * 3
    assert kinds.count("AdaptModel") == 7 * 3


def test_a_job_is_the_same_whatever_stands_beside_it():
    together = {job.title: job.digest() for job in planned(EVERY, (0.1, 0.3))}
    for method in EVERY:
        assert {job.title: job.digest() for job in planned([method])}.items() <= together.items()


def test_settings_of_one_row_are_refused():
    with pytest.raises(ValueError, match="Received two of 'english: policy at c = 0.1'.*`variant`"):
        planned([SWR(), SWR(tries=3)])
    assert len(planned([SWR(), SWR(tries=3, variant="3 tries")])) == 6


class Task(GivenData):
    """Arrays as a task that jobs can measure."""

    name = "english"
    labels = ("a", "b", "c")
    input_shape = (10, 8, 1)

    def testing(self):
        return self.validation()

    def conditions(self):
        return {}

    def calibration(self, count):
        return np.asarray(next(iter(self.validation()))[0])[:count]


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_base, arrays):
    """Runs SWR and three ablations at a cost; returns folder, base and results by title."""
    base = small_base()
    task = Task(base, *arrays, num_classes=3, validation_data=arrays)
    fit = Fit(epochs=1, batch_size=32)
    learning = PolicyLearning(supernet=fit, search=SearchFit(steps=20))
    method = SWR(fit=fit, learning=learning, reading="threshold", batch_norm="affine")
    other = ablations(method)
    names = ("not-staged", "supernet-weight", "without-supernet")
    given = GivenBase(fingerprint=fingerprint(base), model=base, task="english", data="d", seed=0)
    jobs = [given, *planned([method, *map(other.get, names)], (0.5,), base=given)]
    folder = RunFolder(tmp_path_factory.mktemp("run") / "run")
    with folder.locked({}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 20 steps are too few for a policy to follow the cost.
        failures = run_jobs(
            jobs,
            folder,
            SerialEngine(folder, lambda data: task, verbose=0),
            names={job.title: job.title for job in jobs},
            plans={job.title: job.plan(task) for job in jobs},
            report=lambda line: None,
        )
    assert failures == []
    return folder.path, base, {job.title: folder.result(job) for job in jobs}


def test_a_run_has_a_row_for_each(run):
    results = [result for result in run[2].values() if result.kind == "model"]
    assert [result.method for result in results] == [
        "SWR",
        "SWR, not staged",
        "SWR + super-net weight",
        "SWR, without super-net",
    ]


def test_results_tell_what_a_task_owns_as_its_pack_has_it(run):
    path, base, results = run
    for folder, row in [
        ("c0.5", "SWR"),
        ("SWR-not-staged_c0.5", "SWR, not staged"),
        ("SWR-super-net-weight_c0.5", "SWR + super-net weight"),
        ("SWR-without-super-net_c0.5", "SWR, without super-net"),
    ]:
        result = results[f"english: {row} at c = 0.5"]
        pack = TaskPack.load(path / "english" / folder / "task.swr.safetensors")
        assert pack.policy.selected_layers == result.changed_layers
        assert result.owned_bytes == pack.num_bytes
        assert result.owned_parameters == owned_parameters(pack.arrays, pack.head)
        # The head has three outputs instead of four.
        assert result.multiplies == summary(base).multiplies - 8


@pytest.mark.parametrize("differences", [(), ("without super-net",)])
def test_a_search_tells_achieved_and_target_costs_for_a_figure(differences, run):
    (search,) = [r for r in run[2].values() if r.kind == "search" and r.differences == differences]
    curve = search.policy_curve
    wanted = [step / 20 for step in range(1, 21)]
    at = {round(cost, 3): index for index, cost in enumerate(curve["costs"])}
    for reading in ("threshold", "budget"):
        achieved = [curve[reading][at[cost]] for cost in wanted]
        assert all(0 <= each <= 1 for each in achieved)
    assert all(curve["budget"][at[cost]] <= cost for cost in wanted)
    assert curve["budget"][at[1.0]] == 1.0


def test_a_model_that_starts_from_the_supernet_is_another(run):
    path = run[0] / "english"
    packs = [
        TaskPack.load(path / folder / "task.swr.safetensors")
        for folder in ("c0.5", "SWR-super-net-weight_c0.5")
    ]
    assert packs[0].policy == packs[1].policy
    assert np.any(packs[0].arrays["head/kernel"] != packs[1].arrays["head/kernel"])
    keras.saving.load_model(path / "SWR-super-net-weight_c0.5" / "model.keras")


def test_a_choice_is_the_same_whatever_its_process_did_before(small_base, arrays, tmp_path):
    base = small_base()  # With dropout, whose draws the loss on the super-net depends on.
    task = Task(base, *arrays, num_classes=3, validation_data=arrays)
    fit = Fit(epochs=1, batch_size=32)
    learning = PolicyLearning(supernet=fit, search=SearchFit(steps=20))
    method = SWR(fit=fit, learning=learning, tries=5)
    given = GivenBase(fingerprint=fingerprint(base), model=base, task="base", data="b", seed=0)
    common = {"base": given, "task": "english", "data": "d", "seed": 0}
    search, choice, _ = swr_jobs([method], [0.5], **common)
    store, found = JobStore(tmp_path), []
    with warnings.catch_warnings(action="ignore"):
        for job in (given, search):
            assert perform(job, store, lambda data: task) is None
    for before in (1, 2):
        keras.utils.set_random_seed(before)
        place = PlaceWithTasks(store, lambda data: task, 0)
        store.begin(choice)
        found.append(choice.run(place).policy_losses)
    assert found[0] == found[1]
