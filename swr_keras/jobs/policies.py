"""Jobs that find out which layers a task changes: policies learned for every cost, and chosen."""

import dataclasses
import re
import time
from typing import Any

import keras

from swr_keras.files import write_atomically
from swr_keras.jobs.job import Job, timed, without_new_defaults
from swr_keras.jobs.result import Result
from swr_keras.methods.policy_learning import PolicyLearning
from swr_keras.methods.swr import SWR
from swr_keras.policy.learned import LearnedPolicies
from swr_keras.policy.policy import Policy
from swr_keras.tensors import read_tensors, write_tensors
from swr_keras.training.supernet import SuperNet

_SUPERNET_FORMAT = "swr_keras.supernet/1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnPolicies(Job):
    """Learns the policies of a task for every cost.

    Attributes:
        base: The job that makes the base.
        learning: How they are learned.
        batch_norm: What of batch norm is the task's.
        cost: What costs are shares of.
        differences: What tells it from other searches of its task, `SWR.search_differences`.
    """

    base: Job
    learning: PolicyLearning
    batch_norm: str
    cost: str
    differences: tuple[str, ...] = ()

    @property
    def title(self):
        return f"{self.task}: {', '.join(('policy search', *self.differences))}"

    @property
    def needs(self):
        return (self.base,)

    def settings(self):
        return without_new_defaults(
            {
                "learning": dataclasses.asdict(self.learning),
                "batch_norm": self.batch_norm,
                "cost": self.cost,
            }
        )

    def plan(self, task):
        return self.learning.plan(task)

    def run(self, place):
        # Seeded after the base is at hand, since loading it draws, too.
        base, task = place.base(self.base)[0], place.task(self)
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
        self.outcome(place).parent.mkdir(parents=True, exist_ok=True)
        search.policies.save(self.outcome(place))
        arrays = {name: v.numpy() for name, v in search.supernet.task_variables().items()}
        write_tensors(self._supernet_file(place), arrays, {}, form=_SUPERNET_FORMAT)
        return Result(
            kind="search",
            title=self.title,
            task=self.task,
            differences=self.differences,
            policy_curve=search.policies.curve(),
            tracking_error=search.grid_error(),
            **timed(logs),
        )

    def outcome(self, place):
        """Returns the file of the policies."""
        return place.files(self) / "policies.safetensors"

    def supernet(self, place) -> SuperNet:
        """Returns the super-net that the policies were learned against."""
        supernet = SuperNet(
            place.base(self.base)[0],
            num_classes=place.task(self).num_classes,
            batch_norm=self.batch_norm,
        )
        with place.reading(self):
            arrays, _ = read_tensors(
                self._supernet_file(place), form=_SUPERNET_FORMAT, kind="a super-net", cure=""
            )
            supernet.start_from(arrays)
        return supernet

    @property
    def folder_name(self):
        return self.folder_of()

    def folder_of(self, *more: str) -> str:
        """Returns where a run has what comes of it, which is named in one more part."""
        return folder_name(self.task, readable(", ".join(self.differences)), *more)

    def _supernet_file(self, place):
        return place.files(self) / "supernet.safetensors"


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
        policy = f"policy at c = {self.target_cost:g}"
        return f"{self.task}: {', '.join((policy, *self.search.differences))}"

    @property
    def folder_name(self):
        return self.search.folder_of(f"c{self.target_cost:g}")

    @property
    def needs(self):
        return (self.search,)

    def settings(self):
        return without_new_defaults(
            {
                "reading": self.method.reading,
                "tries": self.method.tries,
                "target_cost": self.target_cost,
                "first_layer": self.method.first_layer,
            }
        )

    def run(self, place):
        with place.reading(self.search):
            policies = LearnedPolicies.load(self.search.outcome(place))
        task = place.task(self)
        # Seeded before the super-net is made, whose dropout takes its seeds then.
        keras.utils.set_random_seed(self.seed)
        supernet = self.search.supernet(place)
        start = time.monotonic()
        policy, losses = self.method.read(policies, supernet, task, self.target_cost, self.seed)
        path = self.outcome(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, policy.to_json().encode())
        return Result(
            kind="policy",
            title=self.title,
            task=self.task,
            differences=self.search.differences,
            target_cost=self.target_cost,
            achieved_cost=policy.achieved_cost,
            changed_layers=policy.selected_layers,
            policy_losses=losses,
            seconds={"choice": round(time.monotonic() - start, 1)},
        )

    def outcome(self, place):
        """Returns the file of the policy."""
        return place.files(self) / "policy.json"

    def chosen(self, place, *, with_supernet: bool) -> dict[str, Any]:
        """Returns what `SWR.train` takes of it: the policy, and the super-net where it's wanted."""
        supernet = self.search.supernet(place) if with_supernet else None
        with place.reading(self):
            policy = Policy.from_json(self.outcome(place).read_text())
        return {"policy": policy, "supernet": supernet}


def folder_name(task: str, *parts: str) -> str:
    """Returns a folder of a task's files; the parts of its name that are empty are left out."""
    return "/".join(filter(None, (task, "_".join(filter(None, parts)))))


def readable(title: str) -> str:
    """Returns a title as a part of the name of a folder."""
    return re.sub(r"\W+", "-", title).strip("-")
