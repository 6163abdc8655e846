"""The engine that does the jobs of a run side by side, each in a process of its own."""

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence

from swr_keras.jobs.folder import RunFolder
from swr_keras.jobs.job import Job, work
from swr_keras.jobs.local import LocalPlace, run_local
from swr_keras.jobs.progress import minutes
from swr_keras.jobs.result import Result
from swr_keras.jobs.task import MeasuredTask
from swr_keras.jobs.worker import enter_worker

_place: LocalPlace


def run_parallel(
    jobs: Sequence[Job],
    folder: RunFolder,
    tasks: Mapping[str, MeasuredTask],
    *,
    workers: int,
    verbose: str | int = "auto",
    report: Callable[[str], None] = print,
) -> list[Result]:
    """Does what `run_local` does, several jobs at a time where none waits for another.

    A tiny network can't keep more than one core busy, so two trainings side by side take little
    more time than one. Jobs that need no other, as the one that makes the base, go first and in
    this process; of the others, those on which the longest chain waits, and those of one task in
    one process, which keeps its data.

    Args:
        jobs, folder, tasks, report: As for `run_local`, and its errors. Tasks must be picklable.
        workers: Number of processes.
        verbose: As for `keras.Model.fit`, for the jobs in this process.
    """
    if workers == 1:
        return run_local(jobs, folder, tasks, verbose=verbose, report=report)
    folder.check(jobs)
    results = folder.results(jobs)
    if results:
        report(f"{len(results)} of {len(jobs)} jobs were done before.")
    left = [job for job in jobs if job.title not in results]
    first = [job for job in left if not job.needs]
    found = run_local(first, folder, tasks, verbose=verbose, report=report)
    results |= {result.title: result for result in found}
    waiting = [job for job in left if job.needs]
    if waiting:
        waiting.sort(key=lambda job: -_chain(job, jobs))
        results |= _run(waiting, set(results), folder, tasks, workers, report)
    return [results[job.title] for job in jobs]


class _Lane:
    """A process that remembers which tasks it has seen."""

    def __init__(self, folder, tasks, threads):
        self.tasks: set[str] = set()
        self.pool = concurrent.futures.ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_enter,
            initargs=(folder, dict(tasks), threads),
        )

    def choose(self, ready: Sequence[Job], others: set[str]) -> Job:
        """Chooses a job of a task it knows, whose data it has at hand; or of one that is new."""
        return min(ready, key=lambda job: (job.task not in self.tasks, job.task in others))

    def begin(self, job: Job) -> concurrent.futures.Future[Result]:
        self.tasks.add(job.task)
        return self.pool.submit(_do, job)


def _run(waiting, done, folder, tasks, workers, report):
    results: dict[str, Result] = {}
    running: dict[concurrent.futures.Future[Result], tuple[_Lane, Job]] = {}
    status = _Status(waiting, tasks, report)
    threads = max(1, (os.cpu_count() or 1) // workers)
    lanes = [_Lane(folder, tasks, threads) for _ in range(min(workers, len(waiting)))]
    try:
        while waiting or running:
            busy = [lane for lane, _ in running.values()]
            for lane in (lane for lane in lanes if lane not in busy):
                ready = [job for job in waiting if all(need.title in done for need in job.needs)]
                if ready:
                    others = {task for other in lanes if other is not lane for task in other.tasks}
                    job = lane.choose(ready, others)
                    waiting.remove(job)
                    folder.begin(job)
                    running[lane.begin(job)] = lane, job
                    status.begun(job)
            finished, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                _, job = running.pop(future)
                results[job.title] = _result(future, job)
                folder.finish(job, results[job.title])
                done.add(job.title)
                status.finished(job)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        for lane in lanes:
            lane.pool.shutdown(cancel_futures=True)
    return results


def _result(future, job):
    try:
        return future.result()
    except concurrent.futures.BrokenExecutor:
        raise OSError(
            f"The process that did '{job.title}' was ended from outside, perhaps for lack of "
            "memory. Run again, with fewer workers or 1; finished jobs are kept."
        ) from None


class _Status:
    """Says when jobs begin and end, and estimates the time left from the examples to be seen."""

    def __init__(self, jobs, tasks, report):
        self.report = report
        self.total = len(jobs)
        self.number = 0
        self.work = {job.title: work(job.plan(tasks[job.task])) for job in jobs}
        self.all_work = sum(self.work.values())
        self.start = time.monotonic()
        self.starts: dict[str, float] = {}

    def begun(self, job):
        self.starts[job.title] = time.monotonic()
        self.report(f"{job.title} begins")

    def finished(self, job):
        self.number += 1
        now = time.monotonic()
        del self.work[job.title]
        left = sum(self.work.values())
        done = self.all_work - left
        rest = f", about {minutes((now - self.start) * left / done)} left" if done else ""
        self.report(
            f"[{self.number}/{self.total}] {job.title}: done in "
            f"{minutes(now - self.starts[job.title])} ({minutes(now - self.start)} elapsed{rest})"
        )


def _chain(job: Job, jobs: Sequence[Job]) -> int:
    """Number of jobs in the longest chain that waits for a job."""
    users = [other for other in jobs if job in other.needs]
    return 1 + max((_chain(user, jobs) for user in users), default=0)


def _enter(folder, tasks, threads):
    global _place
    enter_worker(threads)
    _place = LocalPlace(folder, tasks, verbose=0)


def _do(job: Job) -> Result:
    return job.run(_place)
