"""Libraries of what SWR learned in a benchmark."""

from collections.abc import Sequence
from pathlib import Path

from swr_keras.jobs.base import read_base
from swr_keras.jobs.model import AdaptModel
from swr_keras.jobs.place import reading
from swr_keras.jobs.policies import readable
from swr_keras.jobs.result import SWR
from swr_keras.jobs.store import JobStore
from swr_keras.recipes.benchmark_jobs import PlannedJob
from swr_keras.tasks.library import TaskLibrary, packs_in
from swr_keras.tasks.pack import TaskPack


def write_libraries(folder: Path, store: JobStore, jobs: Sequence[PlannedJob]) -> None:
    """Writes the tasks of SWR as libraries, one for each backbone, cost and repetition.

    Args:
        folder: Folder for the folders of the libraries.
        store: Where the jobs were done.
        jobs: The jobs; those that failed are left out.

    A folder that is there already is that of an earlier benchmark, whose tasks make way.

    Raises:
        ValueError: If what a job wrote is missing or damaged; says what to do.
    """
    for name, models in _by_library(store, jobs).items():
        with reading(store, models[0].base):
            base, _ = read_base(store.folder(models[0].base))
        library = TaskLibrary(base)
        for job in models:
            with reading(store, job):
                pack = TaskPack.load(store.folder(job) / "task.swr.safetensors")
            library.add(readable(job.task), pack)
        _replace(folder / name, library)


def _replace(folder: Path, library: TaskLibrary) -> None:
    for name, left in packs_in(folder).items():
        if name not in library:
            left.unlink()
    library.save(folder)


def _by_library(store, jobs) -> dict[str, list[AdaptModel]]:
    found: dict[str, list[AdaptModel]] = {}
    for planned in jobs:
        job = planned.job
        if isinstance(job, AdaptModel) and job.method.row == SWR and store.outcome(job):
            group = planned.group
            name = f"{readable(group.title)}_c{job.target_cost:g}"
            found.setdefault(name, []).append(job)
    return found
