"""Where jobs are: what they made, what came of them, and from where they go on."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import keras

from swr_keras.jobs.base import read_base, write_base
from swr_keras.jobs.job import Job, Plan, work
from swr_keras.jobs.result import Result
from swr_keras.jobs.task import MeasuredTask
from swr_keras.training.checkpoint import Checkpoint

Load = Callable[[str], MeasuredTask]
"""Gives the task whose digest is a job's `data`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a job.

    Attributes:
        result: What it found.
        seconds: Seconds that it took, since it last began.
        peak_memory_bytes: The most memory that its process had; `None` if not known.
        versions: Versions of Python and of the packages that matter.
    """

    result: Result
    seconds: float
    peak_memory_bytes: int | None
    versions: dict[str, str]


class Place(Protocol):
    """A folder of jobs, which processes can be sent: that of a run, or a store."""

    def key(self, job: Job) -> str:
        """Returns what tells a job from others; jobs of one key are one."""

    def claim(self, job: Job) -> Callable[[], None] | None:
        """Holds a job for this process, and returns what lets it go; `None` if another has it."""

    def begin(self, job: Job) -> None:
        """Prepares for a job, or for one more attempt at it."""

    def folder(self, job: Job) -> Path:
        """Returns the folder without which a finished job is one that wasn't done."""

    def files(self, job: Job) -> Path:
        """Returns the folder of a job's files."""

    def root(self, job: Job) -> Path:
        """Returns the folder that paths in a job's result begin from."""

    def state(self, job: Job, training: str) -> Path:
        """Returns the file from which a training of an unfinished job goes on."""

    def log(self, job: Job) -> Path:
        """Returns the file that tells how a job went; it need not exist."""

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Writes what came of a job and removes what it needs no more."""

    def result(self, job: Job) -> Result | None:
        """Returns the result of a finished job.

        Raises:
            ValueError: If its file was damaged; says what to do.
        """


@contextlib.contextmanager
def reading(place: Place, job: Job) -> Iterator[None]:
    """Reads what a finished job wrote.

    Raises:
        ValueError: If a file is missing or damaged; says how the job is done again.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(
            f"What '{job.title}' wrote can't be used; remove the folder '{place.folder(job)}' to "
            f"do that job again: {error}"
        ) from error


def share_done(place: Place, job: Job, plan: Plan) -> float:
    """Returns the share of a job's trainings that an interrupted attempt did."""
    total, done = work(plan), 0.0
    for training, (epochs, examples) in plan.items():
        path = place.state(job, training)
        if path.exists():
            done += examples * _epochs_done(path) / epochs
    return done / total if total else 0.0


def _epochs_done(state):
    try:
        return Checkpoint(state).initial_epoch
    except ValueError:  # It is damaged, which the job will say when it wants to go on.
        return 0


class PlaceWithTasks:
    """A `Workplace`: a place of jobs, with their tasks.

    Args:
        place: The place.
        load: Gives the tasks.
        verbose: As for `keras.Model.fit`.
    """

    def __init__(self, place: Place, load: Load, verbose: str | int):
        self.verbose = verbose
        self.files, self.root, self.state = place.files, place.root, place.state
        self._place, self._load = place, load

    def task(self, job: Job) -> MeasuredTask:
        return self._load(job.data)

    def result(self, job: Job) -> Result:
        result = self._place.result(job)
        if result is None:
            raise ValueError(f"The job '{job.title}' isn't finished, but another one needs it.")
        return result

    def keep_base(self, job: Job, base: keras.Model, labels: tuple[str, ...] | None) -> None:
        write_base(self.files(job), base, labels)

    def base(self, job: Job) -> tuple[keras.Model, tuple[str, ...] | None]:
        # Loaded for each job anew, so that a job can't depend on what ran before it.
        with self.reading(job):
            return read_base(self.files(job))

    def reading(self, job: Job) -> contextlib.AbstractContextManager[None]:
        return reading(self._place, job)
