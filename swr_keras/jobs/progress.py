"""Banners that say which stage runs and how long the rest will take."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Progress:
    """Announces the stages of a run, measures them, and estimates the time left.

    Args:
        stages: Every stage to come by title, with its work in examples to be seen.
        report: Takes the line that announces a stage.
    """

    def __init__(self, stages: dict[str, float], report: Callable[[str], None]):
        self.stages = stages
        self.report = report
        self.seconds: dict[str, float] = {}
        self._done = 0.0

    @contextlib.contextmanager
    def stage(self, title: str, share_done: float = 0.0) -> Iterator[None]:
        """Runs one stage; its seconds end in `seconds[title]`.

        Args:
            title: Its title.
            share_done: Share of its work that an earlier run did.
        """
        elapsed = sum(self.seconds.values())
        left = "time left unknown yet"
        if self._done:
            number = list(self.stages).index(title)
            rest = sum(list(self.stages.values())[number:]) - share_done * self.stages[title]
            left = f"about {minutes(elapsed * rest / self._done)} left"
        again = f", {share_done:.0%} done before" if share_done else ""
        number = list(self.stages).index(title) + 1
        self.report(
            f"\n[{number}/{len(self.stages)}] {title}{again} ({minutes(elapsed)} elapsed, {left})"
        )
        start = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - start
        self._done += self.stages[title] * (1.0 - share_done)


def minutes(seconds: float) -> str:
    """Returns a time such as "2:05 min"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
