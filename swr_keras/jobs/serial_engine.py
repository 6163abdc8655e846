"""The engine that does jobs in this process."""

import concurrent.futures
from collections.abc import Sequence
from typing import Any

from swr_keras.jobs.job import Job
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import Load, Place


class SerialEngine:
    """An `Engine` that does one job at a time, and lets it write to the terminal.

    Args:
        place: Where jobs are done.
        load: Gives the task whose digest is a job's `data`.
        verbose: As for `keras.Model.fit`.
        strategy: As for `run_job`.
    """

    slots = 1

    def __init__(
        self, place: Place, load: Load, *, verbose: str | int = "auto", strategy: str = "none"
    ):
        self._place, self._load = place, load
        self._options: dict[str, Any] = {"verbose": verbose, "strategy": strategy}
        self._data: str | None = None

    def choose(self, ready: Sequence[Job]) -> Job:
        return min(ready, key=lambda job: job.data != self._data)

    def begin(self, job: Job) -> concurrent.futures.Future[str | None]:
        self._data = job.data
        future: concurrent.futures.Future[str | None] = concurrent.futures.Future()
        future.set_result(perform(job, self._place, self._load, **self._options))
        return future

    def end(self, job: Job, future: concurrent.futures.Future[str | None]) -> str | None:
        return future.result()

    def close(self) -> None:
        pass
