"""Banners that say which stage runs and how long the rest will take."""

import contextlib
import time
from collections.abc import Iterator


class Progress:
    """Announces the stages of a run, measures them, and estimates the time left.

    Args:
        num_stages: Number of stages to come.
        total_work: Their work in examples to be seen, which the estimate is based on.
    """

    def __init__(self, num_stages: int, total_work: float):
        self.num_stages = num_stages
        self.total_work = total_work
        self.seconds: dict[str, float] = {}
        self._done = 0.0

    @contextlib.contextmanager
    def stage(self, title: str, work: float) -> Iterator[None]:
        """Runs one stage of so much work; its seconds end in `seconds[title]`."""
        elapsed = sum(self.seconds.values())
        left = "time left unknown yet"
        if self._done:
            rest = elapsed * (self.total_work - self._done) / self._done
            left = f"about {_minutes(rest)} left"
        number = len(self.seconds) + 1
        print(
            f"\n[{number}/{self.num_stages}] {title} ({_minutes(elapsed)} elapsed, {left})",
            flush=True,
        )
        start = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - start
        self._done += work


def _minutes(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
