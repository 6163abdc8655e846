"""Jobs that other processes can import, for tests of engines."""

import dataclasses
import os
import pathlib
import signal
import time

import tensorflow as tf

from swr_keras.jobs.job import Job
from swr_keras.jobs.result import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripted(Job):
    """A job that adds up what it needs and its task, and does what it is told on the way.

    Attributes:
        name: Its title.
        after: What it needs.
        folder: Where it says that it began.
        outcome: "done", "fails", "is interrupted", "dies" at each attempt, or "dies once".
        beside: Name of a job that it waits for to begin.
        trains: Whether it trains anything.
    """

    name: str
    after: tuple = ()
    folder: str = dataclasses.field(compare=False)
    outcome: str = dataclasses.field(default="done", compare=False)
    beside: str = dataclasses.field(default="", compare=False)
    trains: bool = True

    title = property(lambda self: self.name)
    folder_name = property(lambda self: self.name)
    needs = property(lambda self: self.after)

    def settings(self):
        return {"name": self.name}

    def plan(self, task):
        return {"training": (1, 100)} if self.trains else {}

    def run(self, place):
        log = pathlib.Path(self.folder) / self.name
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        under = " under a strategy" if tf.distribute.has_strategy() else ""
        print(f"{self.name} runs{under}")
        total = place.task(self)
        for need in self.needs:
            total += int((place.files(need) / "total.txt").read_text())
        self._wait_for_the_other()
        if self.outcome == "fails":
            raise FloatingPointError("The loss is nan.")
        if self.outcome == "is interrupted":
            raise KeyboardInterrupt
        if self.outcome == "dies" or (
            self.outcome == "dies once" and len(log.read_text().splitlines()) == 1
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        place.files(self).mkdir(exist_ok=True)
        (place.files(self) / "total.txt").write_text(str(total))
        return Result(kind="base", title=self.title, task=str(total))

    def _wait_for_the_other(self):
        for _ in range(1800):
            if not self.beside or (pathlib.Path(self.folder) / self.beside).exists():
                return
            time.sleep(0.1)
        raise TimeoutError(f"{self.beside} did not begin.")


def load(data):
    """The task of a digest is its length."""
    return len(data)
