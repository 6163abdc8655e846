"""One job, done in this process, with a log of its own."""

import contextlib
import gc
import time
import traceback
from collections.abc import Callable

from swr_keras.jobs.job import Job
from swr_keras.jobs.peak_memory import forget_peak, peak_bytes
from swr_keras.jobs.store import JobStore, Outcome, StorePlace
from swr_keras.jobs.task import MeasuredTask
from swr_keras.jobs.versions import versions

Load = Callable[[str], MeasuredTask]
"""Gives the task whose digest is a job's `data`."""


def perform(job: Job, store: JobStore, load: Load) -> str | None:
    """Does a job in a store, from where an attempt stopped, whatever else this process did before.

    What it writes to the terminal goes to its log.

    Returns:
        Why it failed, or `None`.
    """
    store.begin(job)
    gc.collect()  # What the last job left doesn't count as memory of this one.
    forget_peak()
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(store.log(job).open("a", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        try:
            result = job.run(StorePlace(store, load))
        except Exception as error:
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
    store.finish(
        job,
        Outcome(
            result=result,
            seconds=round(time.monotonic() - start, 1),
            peak_memory_bytes=peak_bytes(),
            versions=versions(),
        ),
    )
    return None
