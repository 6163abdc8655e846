"""One job, done in this process."""

import contextlib
import gc
import time
import traceback

from swr_keras.jobs.job import Job
from swr_keras.jobs.peak_memory import forget_peak, peak_bytes
from swr_keras.jobs.place import Load, Outcome, Place, PlaceWithTasks
from swr_keras.jobs.training import run_job
from swr_keras.jobs.versions import versions

_LOGGED = 2


def perform(
    job: Job,
    place: Place,
    load: Load,
    *,
    verbose: str | int | None = None,
    strategy: str = "none",
) -> str | None:
    """Does a job in a place, from where an attempt stopped, whatever this process did before.

    Args:
        job: The job; those that it needs are finished.
        place: Where it is done.
        load: Gives its task.
        verbose: As for `keras.Model.fit`, where it may write to the terminal; with `None`, what it
            writes goes to its log.
        strategy: As for `run_job`.

    Returns:
        Why it failed, as its log tells in full where it can be written, or `None`.
    """
    gc.collect()  # What the last job left doesn't count as memory of this one.
    forget_peak()
    start = time.monotonic()
    log = place.log(job)
    try:
        place.begin(job)
        with _written_to(log) if verbose is None else contextlib.nullcontext():
            shown = _LOGGED if verbose is None else verbose
            result = run_job(job, PlaceWithTasks(place, load, shown), strategy)
        outcome = Outcome(
            result=result,
            seconds=round(time.monotonic() - start, 1),
            peak_memory_bytes=peak_bytes(),
            versions=versions(),
        )
        place.finish(job, outcome)
    except Exception as error:
        # Where the disk is full, the log can't be written, either.
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        return f"{type(error).__name__}: {error}"
    return None


@contextlib.contextmanager
def _written_to(log):
    with (
        log.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield
