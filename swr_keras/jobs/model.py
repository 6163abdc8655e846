"""Jobs that give a task its models: trained by a method, or the base as it is."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from swr_keras.accounting import owned_parameters, summary
from swr_keras.files import write_atomically
from swr_keras.jobs.evaluation import measure
from swr_keras.jobs.job import Job, timed, without_new_defaults
from swr_keras.jobs.policies import ChoosePolicy, LearnPolicies, folder_name, readable
from swr_keras.jobs.result import Result
from swr_keras.methods.method import Method
from swr_keras.methods.swr import SWR
from swr_keras.model_files import save_model

_CHECKED = 64


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
                **without_new_defaults(dataclasses.asdict(self.method)),
            },
            "target_cost": self.target_cost,
        }

    def plan(self, task):
        return {"training": self.method.fit.plan(task)}

    def run(self, place):
        # Seeded after all is at hand, since making a super-net draws, too.
        base, task, chosen = place.base(self.base)[0], place.task(self), self._chosen(place)
        keras.utils.set_random_seed(self.seed)
        model, logs = self.method.train(
            base,
            task,
            target_cost=self.target_cost,
            seed=self.seed,
            state=place.state(self, "training"),
            verbose=place.verbose,
            **chosen,
        )
        folder = place.files(self)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(model.merge(check_on=task.calibration(_CHECKED)), folder / "model.keras")
        pack = model.pack()
        pack.save(folder / "task.swr.safetensors")
        write_atomically(folder / "policy.json", model.policy.to_json().encode())
        costs = summary(model, input_shape=task.input_shape)
        measured = measure(model, task)
        del measured["confusion"]
        return Result(
            kind="model",
            title=self.title,
            task=self.task,
            method=self.method.row,
            target_cost=model.policy.target_cost,
            # What is added is none of the layers that the cost is a share of.
            achieved_cost=None if model.extension else model.policy.achieved_cost,
            changed_layers=model.policy.selected_layers,
            owned_parameters=owned_parameters(model.task_variables(), model.head_path),
            owned_bytes=pack.num_bytes,
            flash_bytes=costs.flash_bytes,
            multiplies=costs.multiplies,
            batch_norm=model.batch_norm,
            **measured,
            **timed({"training": logs}),
        )

    @property
    def folder_name(self):
        is_plain = self.choice and self.method.row == self.method.name
        name = "" if is_plain else readable(self.method.title)
        return folder_name(self.task, name, self._cost("c{:g}"))

    def _chosen(self, place) -> dict[str, Any]:
        if self.choice is None:
            return {}
        starts_from_it = isinstance(self.method, SWR) and self.method.start == "supernet"
        return self.choice.chosen(place, with_supernet=starts_from_it)

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
        base = place.base(self.base)[0]
        measured = measure(base, place.task(self), class_names=self.class_names)
        return Result(kind="model", title=self.title, task=self.task, method="base", **measured)


def swr_jobs(
    methods: Iterable[SWR],
    target_costs: Sequence[float],
    *,
    base: Job,
    task: str,
    data: str,
    seed: int,
) -> list[Job]:
    """Returns the jobs of SWR and ablations of it at each cost, each after those that it needs.

    Policies are learned once for all costs, and once for all methods whose rows don't tell them
    apart in that; those that read them alike share the choice, too.

    Args:
        methods: Settings of SWR, told apart by their rows in tables.
        target_costs: The target costs.
        base: The job that makes the base.
        task, data, seed: As for `Job`.

    Raises:
        ValueError: If methods that differ have one row.
    """
    found: dict[str, Job] = {}
    common: dict[str, Any] = {"task": task, "data": data, "seed": seed}

    def once(job):
        known = found.setdefault(job.title, job)
        if known.digest() != job.digest():
            raise ValueError(
                f"Settings of SWR that differ need rows of their own. Received two of '{job.title}'"
                ". Tell them apart by `variant`."
            )
        return known

    for method, cost in itertools.product(methods, target_costs):
        choice = None
        if method.staged:
            search = LearnPolicies(
                base=base,
                learning=method.learning,
                batch_norm=method.batch_norm,
                cost=method.cost,
                differences=method.search_differences,
                **common,
            )
            choice = once(
                ChoosePolicy(search=once(search), method=method, target_cost=cost, **common)
            )
        once(AdaptModel(base=base, method=method, target_cost=cost, choice=choice, **common))
    return list(found.values())
