"""Jobs that adapt the base to a task: policies learned and chosen, models trained, the base."""

import dataclasses
import re
import time

import keras
import numpy as np

from swr_keras.accounting.summary import summary
from swr_keras.files import write_atomically
from swr_keras.jobs.evaluation import measure
from swr_keras.jobs.job import Job, timed
from swr_keras.jobs.result import Result
from swr_keras.methods.method import Method
from swr_keras.methods.policy_learning import PolicyLearning
from swr_keras.methods.swr import SWR
from swr_keras.model_files import save_model
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy
from swr_keras.tensors import read_tensors, write_tensors
from swr_keras.training.supernet import SuperNet

_CHECKED = 64
_NEW_DEFAULTS = (("first_layer", None),)
_SUPERNET_FORMAT = "swr_keras.supernet/1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnPolicies(Job):
    """Learns the policies of a task for every cost.

    Attributes:
        base: The job that makes the base.
        learning: How they are learned.
        batch_norm: What of batch norm is the task's.
        cost: What costs are shares of.
    """

    base: Job
    learning: PolicyLearning
    batch_norm: str
    cost: str

    @property
    def title(self):
        return f"{self.task}: policy search"

    @property
    def needs(self):
        return (self.base,)

    def settings(self):
        return {
            "learning": dataclasses.asdict(self.learning),
            "batch_norm": self.batch_norm,
            "cost": self.cost,
        }

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
            cost=self.cost,
            seed=self.seed,
            states=(place.state(self, "super-net"), place.state(self, "policy search")),
            verbose=place.verbose,
        )
        self.outcome(place).parent.mkdir(exist_ok=True)
        search.policies.save(self.outcome(place))
        arrays = {name: v.numpy() for name, v in search.supernet.task_variables().items()}
        write_tensors(self._supernet_file(place), arrays, {}, form=_SUPERNET_FORMAT)
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

    def supernet(self, place) -> SuperNet:
        """Returns the super-net that the policies were learned against."""
        supernet = SuperNet(
            place.base()[0],
            num_classes=place.tasks[self.task].num_classes,
            batch_norm=self.batch_norm,
        )
        arrays, _ = read_tensors(
            self._supernet_file(place),
            form=_SUPERNET_FORMAT,
            kind="a super-net",
            cure=f"Remove the folder '{place.path}' and run again.",
        )
        for name, variable in supernet.task_variables().items():
            variable.assign(arrays[name])
        return supernet

    def _supernet_file(self, place):
        return place.path / self.task / "supernet.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChoosePolicy(Job):
    """Chooses the layers that a task changes at a target cost.

    Attributes:
        search: The job that learns the policies.
        method: The method that reads one of them.
        target_cost: The target cost.
    """

    search: LearnPolicies
    method: SWR
    target_cost: float

    @property
    def title(self):
        return f"{self.task}: policy at c = {self.target_cost:g}"

    @property
    def needs(self):
        return (self.search,)

    def settings(self):
        return _without_new_defaults(
            {
                "reading": self.method.reading,
                "tries": self.method.tries,
                "target_cost": self.target_cost,
                "first_layer": self.method.first_layer,
            }
        )

    def run(self, place):
        policies = LearnedPolicies.load(self.search.outcome(place))
        supernet, task = self.search.supernet(place), place.tasks[self.task]
        keras.utils.set_random_seed(self.seed)
        start = time.monotonic()
        policy, losses = self.method.read(policies, supernet, task, self.target_cost, self.seed)
        path = self.outcome(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, policy.to_json().encode())
        return Result(
            kind="policy",
            title=self.title,
            task=self.task,
            target_cost=self.target_cost,
            achieved_cost=policy.achieved_cost,
            changed_layers=policy.selected_layers,
            policy_losses=losses,
            seconds={"choice": round(time.monotonic() - start, 1)},
        )

    def outcome(self, place):
        """Returns the file of the policy."""
        return place.path / self.task / f"c{self.target_cost:g}" / "policy.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptModel(Job):
    """Trains one model by a method.

    Attributes:
        base: The job that makes the base.
        method: The method.
        target_cost: The target cost, for a method that needs one.
        choice: The job that chooses the layers, for a method that learns what to choose.
    """

    base: Job
    method: Method
    target_cost: float | None = None
    choice: ChoosePolicy | None = None

    @property
    def title(self):
        return f"{self.task}: {self.method.title}{self._cost(' at c = {:g}')}"

    @property
    def needs(self):
        return (self.base, self.choice) if self.choice else (self.base,)

    def settings(self):
        return {
            "method": {
                "name": self.method.name,
                **_without_new_defaults(dataclasses.asdict(self.method)),
            },
            "target_cost": self.target_cost,
        }

    def plan(self, task):
        return {"training": self.method.fit.plan(task)}

    def run(self, place):
        base, task = place.base()[0], place.tasks[self.task]
        policy = Policy.from_json(self.choice.outcome(place).read_text()) if self.choice else None
        keras.utils.set_random_seed(self.seed)
        model, logs = self.method.train(
            base,
            task,
            target_cost=self.target_cost,
            seed=self.seed,
            policy=policy,
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
            flash_bytes=summary(model, input_shape=task.input_shape).flash_bytes,
            batch_norm=model.batch_norm,
            **measured,
            **timed({"training": logs}),
        )

    def folder(self, place):
        """Returns the folder of its files."""
        name = "" if self.choice else re.sub(r"\W+", "-", self.method.title)
        return place.path / self.task / "_".join(filter(None, (name, self._cost("c{:g}"))))

    def _cost(self, form):
        return form.format(self.target_cost) if self.method.needs_cost else ""


def _without_new_defaults(settings):
    """Leaves out what jobs did without before there was such a setting, so that digests stay."""
    return {name: value for name, value in settings.items() if (name, value) not in _NEW_DEFAULTS}


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
