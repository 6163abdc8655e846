"""Which job of many is next: none before those that it needs, none twice, none after a failure."""

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from swr_keras.jobs.job import Job, Plan
from swr_keras.jobs.place import Place, share_done
from swr_keras.jobs.progress import Progress

LOST = "its process was ended from outside: it crashed, or memory lacked (use fewer workers)"
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
        """Begins a job whose needs are finished in its place."""

    def end(self, job: Job, future: concurrent.futures.Future[Any]) -> str | None:
        """Brings a job that ended into its place; returns why it failed, as `LOST`, or `None`."""

    def close(self) -> None:
        """Ends what runs."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A job that wasn't done.

    Attributes:
        job: The job.
        name: What it is, for people.
        reason: Why.
        log: Its log; `None` if it has none, as when one that it needs failed.
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
    place: Place,
    engine: Engine,
    *,
    names: Mapping[str, str],
    plans: Mapping[str, Plan],
    report: Callable[[str], None] = print,
) -> list[Failure]:
    """Does every job that isn't finished in a place; one that fails stops those alone that need it.

    A job whose process is lost is begun once more, and goes on from the last epoch of its training.
    Other processes may do jobs in the same place at the same time: none is done twice.

    Args:
        jobs: The jobs, and all that they need; equal ones are one.
        place: Where they are done.
        engine: Does them there. It is closed at the end.
        names: What they are, for people, by key.
        plans: Their trainings, by key, in a unit of work that is the same for all.
        report: Takes a line that says what begins or ended and how long the rest will take.

    Returns:
        The jobs that weren't done, in order.
    """
    every = {place.key(job): job for job in jobs}
    left = {key for key, job in every.items() if place.result(job) is None}
    progress = Progress(names, plans, left, report)
    schedule = _Schedule(every, left, place, engine, progress, plans)
    try:
        schedule.run()
    finally:
        engine.close()
        schedule.release()
    return schedule.failures


def check_done(failures: Sequence[Failure]) -> None:
    """Raises ValueError, which lists them, if jobs weren't done."""
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        raise ValueError(f"{len(failures)} jobs were not done; run again to try them:\n{listed}")


class _Schedule:
    def __init__(self, every, left, place, engine, progress, plans):
        self.place, self.engine, self.progress, self.plans = place, engine, progress, plans
        self.done = every.keys() - left
        self.failures: list[Failure] = []
        self.needs = {key: [place.key(need) for need in job.needs] for key, job in every.items()}
        urgency = _urgency(self.needs)
        waiting = [key for key in every if key in left]
        self.waiting = {key: every[key] for key in sorted(waiting, key=lambda k: -urgency[k])}
        self.running: dict[Any, tuple[str, Job]] = {}
        self.claims: dict[str, Callable[[], None]] = {}
        self.lost: set[str] = set()

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
        for let_go in self.claims.values():
            let_go()

    def _begin(self) -> bool:
        """Begins what can be; returns whether another process has some of it."""
        elsewhere = False
        ready = [job for key, job in self.waiting.items() if self.done.issuperset(self.needs[key])]
        while ready and len(self.running) < self.engine.slots:
            job = self.engine.choose(ready)
            ready.remove(job)
            key, let_go = self.place.key(job), self.place.claim(job)
            if let_go is None:
                elsewhere = True
            elif self.place.result(job):
                let_go()
                self._finished(key)
            else:
                self.claims[key] = let_go
                del self.waiting[key]
                self.progress.begun(key, share_done(self.place, job, self.plans[key]))
                self.running[self.engine.begin(job)] = key, job
        return elsewhere

    def _end(self, future):
        key, job = self.running.pop(future)
        reason = self.engine.end(job, future)
        self.claims.pop(key)()
        if reason is None:
            self._finished(key)
        elif reason == LOST and key not in self.lost:
            self.lost.add(key)
            self.waiting = {key: job, **self.waiting}
            self.progress.lost(key, LOST)
        else:
            log = self.place.log(job)
            self._failed(key, job, reason, log if log.exists() else None)

    def _finished(self, key):
        self.waiting.pop(key, None)
        self.done.add(key)
        self.progress.finished(key)

    def _failed(self, key, job, reason, log):
        self.failures.append(Failure(job, self.progress.names[key], reason, log))
        self.progress.failed(key, reason, log)
        reason = f"needs '{self.progress.names[key]}', which wasn't done"
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
