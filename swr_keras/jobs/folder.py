"""The folder that a run writes: one run at a time, and what each job left there."""

import contextlib
import hashlib
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import filelock

from swr_keras.files import UNFINISHED, read_json, write_json
from swr_keras.jobs.job import Job
from swr_keras.jobs.place import Outcome
from swr_keras.jobs.result import Result
from swr_keras.jobs.schema import conform

_SETTINGS = "settings.json"
_JOBS = "jobs"
_JOB, _RESULT, _LOG, _STATES = "job.json", "result.json", "log.txt", "states"


class RunFolder:
    """A `Place` for one run, whose files people read, and which remembers what its jobs were.

    Each job has a folder below `jobs/`: what the job is, its log, the state of its trainings while
    it runs, and its result once it is finished. What a user wants stands beside, see `README.md`.

    Args:
        path: The folder; made if it doesn't exist.

    Attributes:
        path: The folder.
        resumed: Whether an earlier run wrote it.

    Raises:
        ValueError: If the path is a file, or a folder with files of no run.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        if path.exists() and not path.is_dir():
            raise ValueError(f"The output folder '{path}' is a file. Choose another folder.")
        self.resumed = (path / _SETTINGS).is_file() and (path / _JOBS).is_dir()
        if not self.resumed and path.exists() and any(not _is_own(e) for e in path.iterdir()):
            raise ValueError(
                f"The output folder '{path}' exists already and holds files of no run (or of one "
                "by another version). Choose another folder, or remove it."
            )

    @contextlib.contextmanager
    def locked(self, settings: dict[str, Any]) -> Iterator[None]:
        """Holds the folder for this process and writes the run's settings, for people to read.

        Raises:
            ValueError: If another run holds it.
            OSError: If it can't be written.
        """
        (self.path / _JOBS).mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / _JOBS / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ValueError(
                f"Another run is writing the output folder '{self.path}'. Wait for it, or choose "
                "another folder."
            ) from None
        try:
            self._clear_up()
            write_json(self.path / _SETTINGS, settings)
            yield
            self._clear_up()
        finally:
            lock.release()

    def check(self, jobs: Iterable[Job]) -> None:
        """Raises ValueError, with the differences, if a job was done otherwise before."""
        for job in jobs:
            now = _flat(json.loads(json.dumps(job.spec())))
            earlier = self._read(job, _JOB, _flat)
            then = now if earlier is None else earlier
            differences = [
                f"  {name}: {then.get(name)} there, {now.get(name)} now"
                for name in sorted({*then, *now})
                if then.get(name) != now.get(name)
            ]
            if differences:
                raise ValueError(
                    f"The output folder '{self.path}' holds a run with other settings. "
                    f"{job.title}:\n"
                    + "\n".join(differences)
                    + "\nRepeat these to go on with it, or choose another folder."
                )

    def key(self, job: Job) -> str:
        return job.title

    def folder(self, job: Job) -> pathlib.Path:
        """Returns the folder of what is known of a job."""
        readable = re.sub(r"[^\w.]+", "-", job.title)
        # Titles can look alike in letters and digits, such as those of tasks "की" and "का".
        digest = hashlib.sha256(job.title.encode()).hexdigest()[:8]
        return self.path / _JOBS / f"{readable[:80]}-{digest}"

    def files(self, job: Job) -> pathlib.Path:
        return self.path / job.folder_name

    def root(self, job: Job) -> pathlib.Path:
        return self.path

    def log(self, job: Job) -> pathlib.Path:
        return self.folder(job) / _LOG

    def state(self, job: Job, training: str) -> pathlib.Path:
        return self.folder(job) / _STATES / f"{training}.safetensors"

    def claim(self, job: Job) -> Callable[[], None]:
        return lambda: None  # Who locked the folder has all jobs.

    def result(self, job: Job) -> Result | None:
        return self._read(job, _RESULT, Result.from_dict)

    def begin(self, job: Job) -> None:
        (self.folder(job) / _STATES).mkdir(parents=True, exist_ok=True)
        write_json(self.folder(job) / _JOB, job.spec())

    def finish(self, job: Job, outcome: Outcome) -> None:
        write_json(self.folder(job) / _RESULT, outcome.result.as_dict())
        shutil.rmtree(self.folder(job) / _STATES, ignore_errors=True)

    def _clear_up(self):
        for unfinished in self.path.rglob(UNFINISHED):
            unfinished.unlink()

    def _read(self, job, name, parse):
        path = self.folder(job) / name
        if not path.exists():
            return None
        try:
            values = read_json(path, kind="what is known of a job")
            return parse(conform(values, dict[str, Any], "It"))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"'{path}' is damaged ({error}). Remove the folder '{path.parent}' to do this job "
                "again."
            ) from None


def _flat(values, prefix=""):
    """A nested dict as one, its keys joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _is_own(entry):
    return entry.name == _JOBS or entry.match(UNFINISHED)
