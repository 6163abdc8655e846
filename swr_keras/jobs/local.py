"""The engine that does the jobs of a run in turn, in this process."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras

from swr_keras.jobs.base import read_base, write_base
from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.job import Job, work
from swr_keras.jobs.progress import Progress
from swr_keras.jobs.result import Result
from swr_keras.jobs.task import MeasuredTask
from swr_keras.training.checkpoint import Checkpoint


class LocalPlace:
    """A `Workplace` in the run's folder.

    Args:
        folder: The run's folder.
        tasks: The tasks of the run by name.
        verbose: As for `keras.Model.fit`.
    """

    def __init__(self, folder: RunFolder, tasks: Mapping[str, MeasuredTask], verbose: str | int):
        self.folder = folder
        self.tasks = tasks
        self.path = folder.path
        self.verbose = verbose
        self._base: tuple[keras.Model, tuple[str, ...] | None] | None = None

    def state(self, job: Job, training: str) -> Path:
        states = self.folder.state(job) / "states"
        states.mkdir(exist_ok=True)
        return states / f"{training}.safetensors"

    def share_done(self, job: Job, plan: Mapping[str, tuple[int, int]]) -> float:
        """Returns the share of a job's trainings that an interrupted attempt did."""
        total = work(plan)
        done = 0.0
        for training, (epochs, examples) in plan.items():
            path = self.state(job, training)
            if path.exists():
                done += examples * Checkpoint(path).initial_epoch / epochs
        return done / total if total else 0.0

    def result(self, job: Job) -> Result:
        result = self.folder.result(job)
        if result is None:
            raise ValueError(f"The job '{job.title}' isn't finished, but another one needs it.")
        return result

    def task(self, job: Job) -> MeasuredTask:
        return self.tasks[job.task]

    def files(self, job: Job) -> Path:
        return self.path / job.folder_name

    def keep_base(self, job, base, labels):
        write_base(self.path, base, labels)
        self._base = base, labels

    def base(self, job):
        if self._base is None:
            self._base = read_base(self.path)
        return self._base


def run_local(
    jobs: Sequence[Job],
    folder: RunFolder,
    tasks: Mapping[str, MeasuredTask],
    *,
    verbose: str | int = "auto",
    report: Callable[[str], None] = print,
) -> list[Result]:
    """Does every job that isn't finished, in order, and returns the results of all.

    Args:
        jobs: The jobs, each after those that it needs.
        folder: The run's folder, locked.
        tasks: The tasks of the run by name.
        verbose: As for `keras.Model.fit`.
        report: Takes a line that says which job runs and how long the rest will take.

    Raises:
        ValueError: If an earlier run did one of the jobs otherwise.
        FloatingPointError: If a loss is NaN; called again, it goes on from the last good epoch.
    """
    folder.check(jobs)
    place = LocalPlace(folder, tasks, verbose)
    results = folder.results(jobs)
    if results:
        report(f"{len(results)} of {len(jobs)} jobs were done before.")
    left = [job for job in jobs if job.title not in results]
    plans = {job.title: job.plan(tasks[job.task]) for job in left}
    progress = Progress({title: work(plan) for title, plan in plans.items()}, report)
    for job in left:
        folder.begin(job)
        with progress.stage(job.title, place.share_done(job, plans[job.title])):
            results[job.title] = job.run(place)
            folder.finish(job, results[job.title])
    return [results[job.title] for job in jobs]
