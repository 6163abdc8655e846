"""The engine that does jobs on this computer, each process one at a time."""

import concurrent.futures
import multiprocessing
from collections.abc import Sequence

from swr_keras.jobs.job import Job
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import Load, Place
from swr_keras.jobs.schedule import LOST, Engine
from swr_keras.jobs.worker import MOST_JOBS, enter_worker

_place: Place
_load: Load
_strategy: str


class LocalEngine:
    """An `Engine` of processes on this computer.

    Jobs are done in processes of their own even one at a time: one that takes all memory ends
    alone. A process keeps the data of its last job, so the next one is best of the same.

    Args:
        place: Where jobs are done.
        load: Gives the task whose digest is a job's `data`; must be picklable.
        workers: Number of processes.
        threads: Threads of each. Results can differ in rounding by their number.
        strategy: As for `run_job`; one process alone can have one.
        first: Does the jobs that need no other instead, where nothing can run beside these.
    """

    def __init__(
        self,
        place: Place,
        load: Load,
        *,
        workers: int,
        threads: int,
        strategy: str = "none",
        first: Engine | None = None,
    ):
        self.slots = workers
        self._first = first
        self._prepared = place, load, threads, strategy
        self._lanes = [_Lane(self._prepared) for _ in range(workers)]

    def choose(self, ready: Sequence[Job]) -> Job:
        idle = {lane.data for lane in self._lanes if lane.job is None}
        busy = {lane.data for lane in self._lanes if lane.job is not None}
        return min(ready, key=lambda job: (job.data not in idle, job.data in busy))

    def begin(self, job: Job) -> concurrent.futures.Future[str | None]:
        if self._first and not job.needs:
            return self._first.begin(job)
        idle = [lane for lane in self._lanes if lane.job is None]
        lane = min(idle, key=lambda lane: (lane.data != job.data, lane.data is not None))
        future = lane.submit(job)
        lane.job, lane.data = job, job.data
        return future

    def end(self, job: Job, future: concurrent.futures.Future[str | None]) -> str | None:
        if self._first and not job.needs:
            return self._first.end(job, future)
        lane = next(lane for lane in self._lanes if lane.job is job)
        lane.job = None
        try:
            return future.result()
        except concurrent.futures.BrokenExecutor:
            lane.renew()
            return LOST

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()


class _Lane:
    """A process, made when it's needed, and what it does and has."""

    def __init__(self, prepared):
        self.job: Job | None = None
        self.data: str | None = None
        self._prepared = prepared
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def submit(self, job: Job) -> concurrent.futures.Future[str | None]:
        try:
            return self._made().submit(_do, job)
        except concurrent.futures.BrokenExecutor:  # Its process was ended while it was idle.
            self.renew()
            return self._made().submit(_do, job)

    def _made(self):
        if self._pool is None:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_enter,
                initargs=self._prepared,
                max_tasks_per_child=MOST_JOBS,
            )
        return self._pool

    def renew(self):
        self.close()
        self._pool, self.data = None, None

    def close(self):
        if self._pool is None:
            return
        if self.job is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)


def _enter(place, load, threads, strategy):
    global _place, _load, _strategy
    enter_worker(threads)
    _place, _load, _strategy = place, load, strategy


def _do(job: Job) -> str | None:
    return perform(job, _place, _load, strategy=_strategy)
