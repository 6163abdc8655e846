"""A folder of jobs by what they are: a finished job is there for every benchmark that has it."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath

import filelock

from swr_keras.files import UNFINISHED, read_bytes, read_json, write_atomically, write_json
from swr_keras.jobs.job import Job
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.result import Result
from swr_keras.jobs.schema import conform

_JOB, _OUTCOME, _LOG = "job.json", "outcome.json", "log.txt"
_STATES, _LOCKS, _ATTEMPT = "states", "locks", ".unfinished"
_FORMAT = "swr_keras.outcome/1"


class JobStore:
    """A `Place` of jobs in folders named by their addresses.

    A folder has what the job is (`job.json`), its files, its log and what came of it. Until it is
    finished, its name has an ending, and it has the states that trainings go on from.

    Args:
        path: The folder; made when a job begins.
    """

    def __init__(self, path: Path):
        self.path = path

    def key(self, job: Job) -> str:
        return job.address()

    def folder(self, job: Job) -> Path:
        """Returns the folder of a finished job."""
        return self.path / job.address()

    def attempt(self, job: Job) -> Path:
        """Returns the folder of a job that isn't finished."""
        return self.path / f"{job.address()}{_ATTEMPT}"

    def files(self, job: Job) -> Path:
        finished = (self.folder(job) / _OUTCOME).exists()
        return self.folder(job) if finished else self.attempt(job)

    def root(self, job: Job) -> Path:
        return self.files(job)  # Its own name changes when the job is finished.

    def log(self, job: Job) -> Path:
        return self.files(job) / _LOG

    def state(self, job: Job, training: str) -> Path:
        return self.attempt(job) / _STATES / f"{training}.safetensors"

    def claim(self, job: Job) -> Callable[[], None] | None:
        locks = self.path / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(locks / job.address())
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        return lock.release

    def result(self, job: Job) -> Result | None:
        outcome = self.outcome(job)
        return outcome.result if outcome else None

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
        (attempt / _STATES).mkdir(parents=True, exist_ok=True)
        for unfinished in attempt.rglob(UNFINISHED):
            unfinished.unlink()
        write_json(attempt / _JOB, {"title": job.title, "task": job.task, **job.spec()})

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Writes what came of a job and gives its folder the name of a finished one."""
        attempt = self.attempt(job)
        values = dataclasses.asdict(outcome) | {"result": outcome.result.as_dict()}
        write_json(attempt / _OUTCOME, {"format": _FORMAT, **values})
        self._finished(job)
        shutil.rmtree(self.folder(job) / _STATES, ignore_errors=True)

    def read_files(self, job: Job) -> dict[str, bytes]:
        """Returns all files of a job, finished or not, by name; states aren't among them."""
        paths = sorted(path for path in self.files(job).iterdir() if path.is_file())
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
            self._finished(job)

    def _finished(self, job: Job) -> None:
        folder = self.folder(job)
        if folder.exists():  # Its outcome was lost, so it was done again.
            shutil.rmtree(folder)
        os.replace(self.attempt(job), folder)
