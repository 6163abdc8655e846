"""The engine that does jobs on a Ray cluster."""

import concurrent.futures
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swr_keras.jobs.job import Job
from swr_keras.jobs.perform import perform
from swr_keras.jobs.place import Load
from swr_keras.jobs.store import JobStore
from swr_keras.jobs.worker import MOST_JOBS, prepare_process

_MOST_ATTEMPTS = 4
_KEPT_VARIABLES = (
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
)


class RayEngine:
    """An `Engine` on a Ray cluster, whose computers need not share a folder.

    Tasks and the files of finished jobs go to the workers through Ray's object store, and the files
    of a job come back the same way. A job whose worker dies is done again, from its beginning. All
    computers need the same versions of this package and of TensorFlow.

    Args:
        store: Where the files of finished jobs are, on this computer.
        load: Gives the task whose digest is a job's `data`.
        address: Address of the cluster, such as "ray://host:10001"; `None` starts one here.
        threads: CPUs and threads of each job. Results can differ in rounding by their number.

    Raises:
        ImportError: If Ray isn't installed.
    """

    def __init__(self, store: JobStore, load: Load, *, address: str | None, threads: int):
        try:
            import ray
        except ImportError:
            raise ImportError(
                "The engine 'ray' needs the package ray: pip install 'swr-keras[ray]'."
            ) from None
        self._ray, self._store, self._load, self._threads = ray, store, load, threads
        variables = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            runtime_env={"env_vars": variables},
        )
        self._do = ray.remote(
            num_cpus=threads, max_retries=_MOST_ATTEMPTS - 1, max_calls=MOST_JOBS
        )(_do)
        self._sent: dict[str, Any] = {}

    @property
    def slots(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1) // self._threads))

    def choose(self, ready: Sequence[Job]) -> Job:
        return min(ready, key=lambda job: job.data not in self._sent)

    def begin(self, job: Job) -> concurrent.futures.Future[Any]:
        if job.data not in self._sent:
            self._sent[job.data] = self._ray.put(self._load(job.data))
        needs = _all_needs(job)
        for need in needs:
            if need.address() not in self._sent:
                self._sent[need.address()] = self._ray.put(self._store.read_files(need))
        files = [self._sent[need.address()] for need in needs]
        return self._do.remote(job, self._threads, self._sent[job.data], needs, *files).future()

    def end(self, job: Job, future: concurrent.futures.Future[Any]) -> str | None:
        try:
            reason, files = future.result()
        except self._ray.exceptions.RayError as error:
            self._store.begin(job)
            self._store.log(job).write_text(f"{error}\n")
            if isinstance(error, self._ray.exceptions.RayTaskError):
                return f"{type(error.cause).__name__}: {error.cause}"
            return f"its worker was lost {_MOST_ATTEMPTS} times ({type(error).__name__})"
        self._store.write_files(job, files)
        return reason

    def close(self) -> None:
        self._ray.shutdown()


def _all_needs(job: Job) -> list[Job]:
    """Returns the jobs whose files a job reads: those that it needs, and what these need."""
    found: dict[str, Job] = {}
    for need in job.needs:
        found[need.address()] = need
        found |= {other.address(): other for other in _all_needs(need)}
    return list(found.values())


def _do(job: Job, threads: int, task: Any, needs: Sequence[Job], *files: dict[str, bytes]) -> Any:
    """Does a job in a store of its own, on any computer; returns why it failed, and its files."""
    prepare_process(threads)
    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(Path(folder))
        for need, each in zip(needs, files, strict=True):
            store.write_files(need, each)
        reason = perform(job, store, lambda data: task)
        return reason, store.read_files(job)
