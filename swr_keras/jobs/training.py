"""A job that trains does so on the devices of a strategy."""

from swr_keras.jobs.job import Job, Workplace
from swr_keras.jobs.result import Result
from swr_keras.training.distribution import strategy_scope


def run_job(job: Job, place: Workplace, strategy: str = "none") -> Result:
    """Does a job.

    Args:
        job: The job.
        place: Where it is done.
        strategy: Strategy of a job that trains, see `strategy_scope`. Others, such as conversions,
            take one device.
    """
    trains = strategy != "none" and job.plan(place.task(job))
    with strategy_scope(strategy if trains else "none"):
        return job.run(place)
