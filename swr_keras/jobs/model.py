"""Jobs that adapt the base to a task: policies learned, models trained, the base as it is."""

import dataclasses
import re

import keras
import numpy as np

from swr_keras.files import write_atomically
from swr_keras.jobs.evaluation import measure
from swr_keras.jobs.job import Job, timed
from swr_keras.jobs.result import Result
from swr_keras.methods.method import Method
from swr_keras.methods.swr import PolicyLearning
from swr_keras.model_files import save_model
from swr_keras.policy.learned import LearnedPolicies

_CHECKED = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnPolicies(Job):
    """Learns the policies of a task for every cost.

    Attributes:
        base: The job that makes the base.
        learning: How they are learned.
        batch_norm: What of batch norm is the task's.
    """

    base: Job
    learning: PolicyLearning
    batch_norm: str

    @property
    def title(self):
        return f"{self.task}: policy search"

    @property
    def needs(self):
        return (self.base,)

    def settings(self):
        return {"learning": dataclasses.asdict(self.learning), "batch_norm": self.batch_norm}

    def plan(self, task):
        return self.learning.plan(task)

    def run(self, place):
        # Seeded after the base is at hand, since loading it draws, too.
        base, task = place.base()[0], place.tasks[self.task]
        keras.utils.set_random_seed(self.seed)
        search, logs = self.learning.run(
            base,
            task,
            batch_norm=self.batch_norm,
            seed=self.seed,
            states=(place.state(self, "super-net"), place.state(self, "policy search")),
            verbose=place.verbose,
        )
        self.outcome(place).parent.mkdir(exist_ok=True)
        search.policies.save(self.outcome(place))
        return Result(
            kind="search",
            title=self.title,
            task=self.task,
            policy_curve=search.policies.curve(),
            tracking_error=search.grid_error(),
            **timed(logs),
        )

    def outcome(self, place):
        """Returns the file of the policies."""
        return place.path / self.task / "policies.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptModel(Job):
    """Trains one model by a method.

    Attributes:
        base: The job that makes the base.
        method: The method.
        target_cost: The target cost, for a method that needs one.
        search: The job that learns the policies, for a method that needs them.
    """

    base: Job
    method: Method
    target_cost: float | None = None
    search: LearnPolicies | None = None

    @property
    def title(self):
        return f"{self.task}: {self.method.title}{self._cost(' at c = {:g}')}"

    @property
    def needs(self):
        return (self.base, self.search) if self.search else (self.base,)

    def settings(self):
        return {
            "method": {"name": self.method.name, **dataclasses.asdict(self.method)},
            "target_cost": self.target_cost,
        }

    def plan(self, task):
        return {"training": self.method.fit.plan(task)}

    def run(self, place):
        base, task = place.base()[0], place.tasks[self.task]
        policies = LearnedPolicies.load(self.search.outcome(place)) if self.search else None
        keras.utils.set_random_seed(self.seed)
        model, logs = self.method.train(
            base,
            task,
            target_cost=self.target_cost,
            seed=self.seed,
            policies=policies,
            state=place.state(self, "training"),
            verbose=place.verbose,
        )
        folder = self.folder(place)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(model.merge(check_on=task.calibration(_CHECKED)), folder / "model.keras")
        model.pack().save(folder / "task.swr.safetensors")
        write_atomically(folder / "policy.json", model.policy.to_json().encode())
        measured = measure(model, task)
        del measured["confusion"]
        return Result(
            kind="model",
            title=self.title,
            task=self.task,
            method=self.method.name,
            target_cost=model.policy.target_cost,
            achieved_cost=model.policy.achieved_cost,
            changed_layers=model.policy.selected_layers,
            owned_bytes=sum(np.asarray(own).nbytes for own in model.task_variables().values()),
            **measured,
            **timed({"training": logs}),
        )

    def folder(self, place):
        """Returns the folder of its files."""
        name = "" if self.search else re.sub(r"\W+", "-", self.method.title)
        return place.path / self.task / "_".join(filter(None, (name, self._cost("c{:g}"))))

    def _cost(self, form):
        return form.format(self.target_cost) if self.method.needs_cost else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TryBase(Job):
    """Evaluates the base, as it is, on a task.

    Attributes:
        base: The job that makes the base.
        class_names: Names of the base's classes as the task calls them.
    """

    base: Job
    class_names: tuple[str, ...]

    @property
    def title(self):
        return f"{self.task}: base"

    @property
    def needs(self):
        return (self.base,)

    def settings(self):
        return {"class_names": self.class_names}

    def run(self, place):
        measured = measure(place.base()[0], place.tasks[self.task], class_names=self.class_names)
        return Result(kind="model", title=self.title, task=self.task, method="base", **measured)
