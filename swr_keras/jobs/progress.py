"""Lines that say which job began or ended, and how long the rest will take."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from swr_keras.jobs.job import Plan, work


class Progress:
    """Says when jobs begin and end, and estimates the time left by the work that was done.

    Args:
        names: What the jobs are, for people, by key.
        plans: Their trainings, by key.
        left: Keys of those that aren't done yet.
        report: Takes each line.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        plans: Mapping[str, Plan],
        left: set[str],
        report: Callable[[str], None],
    ):
        self.names, self._report = names, report
        self._total = len(names)
        self._left = {key: work(plans[key]) for key in left}
        self._start, self._done = time.monotonic(), 0.0
        self._starts: dict[str, float] = {}
        if before := self._total - len(left):
            report(f"{before} of {self._total} jobs were done before.")

    def begun(self, key: str, share_done: float) -> None:
        """A job begins, of which an attempt that was interrupted did a share."""
        self._starts[key] = time.monotonic()
        self._left[key] *= 1.0 - share_done
        again = f", {share_done:.0%} done before" if share_done else ""
        self._report(f"{self.names[key]} begins{again}")

    def lost(self, key: str, reason: str) -> None:
        """A job ended early and will begin once more."""
        self._report(f"{self.names[key]}: {reason}; once more, from its last epoch")

    def finished(self, key: str) -> None:
        """A job was done, here or by another process."""
        self._done += self._left[key] if key in self._starts else 0.0
        self._ended(key, "done")

    def failed(self, key: str, reason: str, log: Path | None) -> None:
        """A job wasn't done."""
        where = f"; see {log}" if log else ""
        self._ended(key, f"FAILED ({reason}{where})")

    def _ended(self, key, what):
        now = time.monotonic()
        del self._left[key]
        elapsed = now - self._start
        rest = sum(self._left.values())
        left = f", about {_minutes(elapsed * rest / self._done)} left" if self._done else ""
        took = f" in {_minutes(now - self._starts[key])}" if key in self._starts else ""
        self._report(
            f"[{self._total - len(self._left)}/{self._total}] {self.names[key]}: {what}{took} "
            f"({_minutes(elapsed)} elapsed{left})"
        )


def _minutes(seconds: float) -> str:
    """A time such as "2:05 min"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
