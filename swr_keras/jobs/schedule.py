"""Which job of many is next: none before those that it needs, none twice, none after a failure."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from swr_keras.jobs.job import Job
from swr_keras.jobs.progress import minutes
from swr_keras.jobs.store import JobStore

LOST = "its process was ended from outside: it crashed, or memory lacked"
"""Why a job failed that is worth a second attempt."""

_POLL_SECONDS = 5.0


class Engine(Protocol):
    """What does jobs, several at a time.

    Attributes:
        slots: How many at a time.
    """

    @property
    def slots(self) -> int: ...

    def choose(self, ready: Sequence[Job]) -> Job:
        """Chooses the one of these jobs that is best begun now; earlier ones are more urgent."""

    def begin(self, job: Job) -> concurrent.futures.Future[Any]:
        """Begins a job whose needs are finished in the store."""

    def end(self, job: Job, future: concurrent.futures.Future[Any]) -> str | None:
        """Brings a job that ended into the store; returns why it failed, as `LOST`, or `None`."""

    def close(self) -> None:
        """Ends what runs."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A job that wasn't done.

    Attributes:
        job: The job.
        name: What it is, for people.
        reason: Why.
        log: Its log; `None` if it never began, because one that it needs failed.
    """

    job: Job
    name: str
    reason: str
    log: Path | None

    def __str__(self):
        where = f"; see {self.log}" if self.log else ""
        return f"{self.name}: {self.reason}{where}"


def run_jobs(
    jobs: Sequence[Job],
    store: JobStore,
    engine: Engine,
    *,
    names: Mapping[str, str],
    work: Mapping[str, float],
    report: Callable[[str], None] = print,
) -> list[Failure]:
    """Does every job that isn't finished in a store; one that fails stops those alone that need it.

    A job whose process is lost is begun once more, and goes on from the last epoch of its training.
    Other processes may do jobs in the same store at the same time: none is done twice.

    Args:
        jobs: The jobs, and all that they need; equal ones are one.
        store: The store.
        engine: Does them. It is closed at the end.
        names: What they are, for people, by address.
        work: How much each takes, by address, in a unit of any kind.
        report: Takes a line that says what begins or ended and how long the rest will take.

    Returns:
        The jobs that weren't done, in order.
    """
    schedule = _Schedule(jobs, store, engine, _Status(names, work, report))
    try:
        schedule.run()
    finally:
        schedule.release()
        engine.close()
    return schedule.failures


class _Schedule:
    def __init__(self, jobs, store, engine, status):
        every = {job.address(): job for job in jobs}
        self.store, self.engine, self.status = store, engine, status
        self.done = {key for key, job in every.items() if store.outcome(job)}
        self.failures: list[Failure] = []
        self.needs = {key: [need.address() for need in job.needs] for key, job in every.items()}
        urgency = _urgency(self.needs)
        waiting = sorted(every.keys() - self.done, key=list(every).index)
        self.waiting = {key: every[key] for key in sorted(waiting, key=lambda k: -urgency[k])}
        self.running: dict[Any, tuple[str, Job, Any]] = {}
        self.lost: set[str] = set()
        status.start(len(every), set(self.waiting))

    def run(self):
        while self.waiting or self.running:
            elsewhere = self._begin()
            if self.running:
                ended, _ = concurrent.futures.wait(
                    self.running,
                    timeout=_POLL_SECONDS if elsewhere else None,
                    return_when=concurrent.futures.FIRST_COMPLETED,
                )
                for future in ended:
                    self._end(future)
            elif elsewhere:
                time.sleep(_POLL_SECONDS)

    def release(self):
        """Lets other processes have what this one no longer does."""
        for _, _, claim in self.running.values():
            claim.release()

    def _begin(self) -> bool:
        """Begins what can be; returns whether another process has some of it."""
        elsewhere = False
        ready = [job for key, job in self.waiting.items() if self.done.issuperset(self.needs[key])]
        while ready and len(self.running) < self.engine.slots:
            job = self.engine.choose(ready)
            ready.remove(job)
            key, claim = job.address(), self.store.claim(job)
            if claim is None:
                elsewhere = True
            elif self.store.outcome(job):
                claim.release()
                self._finished(key)
            else:
                del self.waiting[key]
                self.status.begun(key)
                self.running[self.engine.begin(job)] = key, job, claim
        return elsewhere

    def _end(self, future):
        key, job, claim = self.running.pop(future)
        try:
            reason = self.engine.end(job, future)
        finally:
            claim.release()
        if reason is None:
            self._finished(key)
        elif reason == LOST and key not in self.lost:
            self.lost.add(key)
            self.waiting = {key: job, **self.waiting}
            self.status.lost(key)
        else:
            self._failed(key, job, reason, self.store.log(job))

    def _finished(self, key):
        self.waiting.pop(key, None)
        self.done.add(key)
        self.status.finished(key)

    def _failed(self, key, job, reason, log):
        self.failures.append(Failure(job, self.status.names[key], reason, log))
        self.status.failed(key, reason, log)
        reason = f"needs '{self.status.names[key]}', which wasn't done"
        for other in [other for other in self.waiting if key in self.needs[other]]:
            if other in self.waiting:  # It may have gone with another one meanwhile.
                self._failed(other, self.waiting.pop(other), reason, None)


def _urgency(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of jobs in the longest chain that waits for each job."""
    found = dict.fromkeys(needs, 1)

    def raise_to(key, length):
        if found[key] < length:
            found[key] = length
        for need in needs[key]:
            if found[need] <= length:
                raise_to(need, length + 1)

    for key in needs:
        raise_to(key, 1)
    return found


class _Status:
    """Says when jobs begin and end, and estimates the time left by the work that was done."""

    def __init__(self, names, work, report):
        self.names, self.work, self.report = names, work, report
        self.starts: dict[str, float] = {}

    def start(self, total, left):
        self.total, self.left = total, left
        self.start_time, self.done = time.monotonic(), 0.0
        if len(left) < total:
            self.report(f"{total - len(left)} of {total} jobs were done before.")

    def begun(self, key):
        self.starts[key] = time.monotonic()
        self.report(f"{self.names[key]} begins")

    def lost(self, key):
        self.report(f"{self.names[key]}: {LOST}; once more, from its last epoch")

    def finished(self, key):
        if key in self.starts:
            self.done += self.work[key]
        self._say(key, "done")

    def failed(self, key, reason, log):
        where = f"; see {log}" if log else ""
        self._say(key, f"FAILED ({reason}{where})")

    def _say(self, key, what):
        now = time.monotonic()
        self.left.remove(key)
        elapsed = now - self.start_time
        rest = sum(self.work[other] for other in self.left)
        left = f", about {minutes(elapsed * rest / self.done)} left" if self.done else ""
        took = f" in {minutes(now - self.starts[key])}" if key in self.starts else ""
        self.report(
            f"[{self.total - len(self.left)}/{self.total}] {self.names[key]}: {what}{took} "
            f"({minutes(elapsed)} elapsed{left})"
        )
