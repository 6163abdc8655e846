"""Jobs that make the base: trained on the classes of all tasks, or given."""

import dataclasses
from typing import Any

import keras

from swr_keras.backbones import BUILDERS
from swr_keras.jobs.job import Job, timed
from swr_keras.jobs.result import Result
from swr_keras.training.fit import Fit


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainBase(Job):
    """Trains a base.

    Attributes:
        backbone: Name of its architecture, one of `backbones.BUILDERS`.
        fit: How it is trained.
    """

    backbone: str
    fit: Fit

    title = "base"

    def settings(self):
        return {"backbone": self.backbone, "fit": dataclasses.asdict(self.fit)}

    def plan(self, task):
        return {"training": self.fit.plan(task)}

    def run(self, place):
        task = place.tasks[self.task]
        keras.utils.set_random_seed(self.seed)
        base = BUILDERS[self.backbone](num_classes=task.num_classes, input_shape=task.input_shape)
        logs = self.fit.resolved(base, task).run(
            base, task, state=place.state(self, "training"), verbose=place.verbose
        )
        place.keep_base(base, task.labels)
        return Result(kind="base", title=self.title, task=self.task, **timed({"training": logs}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenBase(Job):
    """Takes a base that was trained before.

    Attributes:
        fingerprint: `tasks.fingerprint` of it.
        model: The base.
        labels: Its class names, where they are known.
    """

    fingerprint: str
    model: Any = dataclasses.field(compare=False, repr=False)
    labels: tuple[str, ...] | None = None

    title = "base"

    def settings(self):
        return {"fingerprint": self.fingerprint, "labels": self.labels}

    def run(self, place):
        place.keep_base(self.model, self.labels)
        return Result(kind="base", title=self.title, task=self.task)
