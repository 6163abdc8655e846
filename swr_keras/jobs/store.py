"""A folder of jobs by what they are: a finished job is there for every benchmark that has it."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath

import filelock

from swr_keras.files import UNFINISHED, read_bytes, read_json, write_atomically, write_json
from swr_keras.jobs.base import read_base, write_base
from swr_keras.jobs.job import Job
from swr_keras.jobs.result import Result
from swr_keras.jobs.schema import conform
from swr_keras.jobs.task import MeasuredTask

_JOB, _OUTCOME, _LOG = "job.json", "outcome.json", "log.txt"
_STATES, _LOCKS, _ATTEMPT = "states", "locks", ".unfinished"
_FORMAT = "swr_keras.outcome/1"


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


class JobStore:
    """Jobs in folders named by their addresses.

    A folder has what the job is (`job.json`), its files, its log and what came of it. Until it is
    finished, its name has an ending, and it has the states that trainings go on from.

    Args:
        path: The folder; made when a job begins.
    """

    def __init__(self, path: Path):
        self.path = path

    def folder(self, job: Job) -> Path:
        """Returns the folder of a finished job."""
        return self.path / job.address()

    def attempt(self, job: Job) -> Path:
        """Returns the folder of a job that isn't finished."""
        return self.path / f"{job.address()}{_ATTEMPT}"

    def log(self, job: Job) -> Path:
        """Returns the file that tells how an unfinished job went."""
        return self.attempt(job) / _LOG

    def state(self, job: Job, training: str) -> Path:
        """Returns the file from which a training of an unfinished job goes on."""
        states = self.attempt(job) / _STATES
        states.mkdir(exist_ok=True)
        return states / f"{training}.safetensors"

    def claim(self, job: Job) -> filelock.BaseFileLock | None:
        """Holds a job for this process until the lock is released; `None` if another one does."""
        locks = self.path / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(locks / job.address())
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        return lock

    def outcome(self, job: Job) -> Outcome | None:
        """Returns what came of a finished job.

        Raises:
            ValueError: If its file was damaged; says what to do.
        """
        path = self.folder(job) / _OUTCOME
        if not path.exists():
            return None
        try:
            values = read_json(path, kind="what came of a job")
            if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
                raise ValueError(f"its format isn't '{_FORMAT}'")
            return conform(values, Outcome, "It")
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"'{path}' is damaged ({error}). Remove the folder '{path.parent}' to do this job "
                "again."
            ) from None

    def begin(self, job: Job) -> None:
        """Makes the folder of a job, or clears up what an attempt that was killed left there."""
        attempt = self.attempt(job)
        attempt.mkdir(parents=True, exist_ok=True)
        for unfinished in attempt.rglob(UNFINISHED):
            unfinished.unlink()
        write_json(attempt / _JOB, {"title": job.title, "task": job.task, **job.spec()})

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Writes what came of a job and gives its folder the name of a finished one."""
        attempt = self.attempt(job)
        shutil.rmtree(attempt / _STATES, ignore_errors=True)
        values = dataclasses.asdict(outcome) | {"result": outcome.result.as_dict()}
        write_json(attempt / _OUTCOME, {"format": _FORMAT, **values})
        os.replace(attempt, self.folder(job))

    def read_files(self, job: Job) -> dict[str, bytes]:
        """Returns all files of a job, finished or not, by name; states aren't among them."""
        folder = self.folder(job)
        folder = folder if folder.exists() else self.attempt(job)
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        return {path.name: read_bytes(path, kind="a file of a job") for path in paths}

    def write_files(self, job: Job, files: Mapping[str, bytes]) -> None:
        """Writes what `read_files` of another store returned; its folder is finished if they are.

        Raises:
            ValueError: If a name isn't that of a file in the folder.
        """
        attempt = self.attempt(job)
        attempt.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            if name in ("", "..") or PureWindowsPath(name).name != name:
                raise ValueError(f"A file of '{job.title}' has the name {name!r}.")
            write_atomically(attempt / name, data)
        if _OUTCOME in files:
            shutil.rmtree(attempt / _STATES, ignore_errors=True)
            os.replace(attempt, self.folder(job))


class StorePlace:
    """A `Workplace` in a store.

    Args:
        store: The store.
        load: Gives the task whose digest is a job's `data`.
    """

    verbose: str | int = 2

    def __init__(self, store: JobStore, load: Callable[[str], MeasuredTask]):
        self.store = store
        self.path = store.path
        self._load = load

    def task(self, job: Job) -> MeasuredTask:
        return self._load(job.data)

    def files(self, job: Job) -> Path:
        folder = self.store.folder(job)
        return folder if folder.exists() else self.store.attempt(job)

    def state(self, job: Job, training: str) -> Path:
        return self.store.state(job, training)

    def result(self, job: Job) -> Result:
        outcome = self.store.outcome(job)
        if outcome is None:
            raise ValueError(f"The job '{job.title}' isn't finished, but another one needs it.")
        return outcome.result

    def keep_base(self, job, base, labels):
        write_base(self.files(job), base, labels)

    def base(self, job):
        # Loaded for each job anew, so that a job can't depend on what ran before it.
        return read_base(self.files(job))
