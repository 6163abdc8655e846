"""From the probabilities of a stream's windows to keywords that were heard.

Each score is the mean probability of the last few windows; a keyword is detected at the first
window at which the score of the likeliest keyword reaches the threshold. Then nothing is detected
for the refractory time, so that a word that several windows see counts once. Decisions need no
look ahead, and no more than a ring buffer of probabilities, a sum and a counter on a device.

Source: smoothing as in Chen, Parada and Heigold, "Small-footprint keyword spotting using deep
neural networks" (ICASSP 2014), eq. 2. Their confidence, eq. 3, of a keyword that is one label is
the largest score of late, which reaches a threshold when the score itself does.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from swr_keras.audio.keyword_corpus import is_keyword


@dataclasses.dataclass(frozen=True)
class Detection:
    """A keyword that was heard.

    Attributes:
        label: The keyword.
        time_seconds: When it was known: the end of the window, from the start of the stream on.
        score: Its score then, in [0, 1].
    """

    label: str
    time_seconds: float
    score: float


@dataclasses.dataclass(frozen=True)
class Handling:
    """How the probabilities of windows become detections.

    Attributes:
        labels: Names of the classes; `_silence_` and `_unknown_` are never detected.
        first_seconds: End of the first window.
        step_seconds: Time from one window to the next.
        smoothing: Windows that a score is the mean of; fewer at the start of a stream.
        refractory: Windows after one that detected, at which nothing is detected.

    Raises:
        ValueError: If no label is a keyword, or a number is out of range.
    """

    labels: tuple[str, ...]
    first_seconds: float
    step_seconds: float
    smoothing: int
    refractory: int

    def __post_init__(self):
        if not any(map(is_keyword, self.labels)):
            raise ValueError(f"There is no keyword to detect. Received: labels={self.labels}.")
        if self.smoothing < 1 or self.refractory < 0 or self.step_seconds <= 0:
            raise ValueError(
                "Smoothing takes 1 window or more, the refractory time 0 or more, and windows "
                f"follow each other in time. Received: {self}."
            )

    def time_seconds(self, window: int) -> float:
        """Returns the end of a window."""
        return self.first_seconds + window * self.step_seconds


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The likeliest keyword at each window, whatever the threshold.

    Attributes:
        handling: How they were found.
        scores: Float64 `(windows,)`, its score.
        classes: `(windows,)`, its index among the labels.
    """

    handling: Handling
    scores: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, handling: Handling) -> "Candidates":
        """Smooths the probabilities `(windows, classes)` of a whole stream."""
        before = np.zeros((handling.smoothing - 1, probabilities.shape[1]))
        return cls.after(before, 0, probabilities, handling)

    @classmethod
    def after(
        cls, before: np.ndarray, heard: int, probabilities: np.ndarray, handling: Handling
    ) -> "Candidates":
        """Goes on after `heard` windows, of which `before` are the last `smoothing - 1`."""
        keywords = np.flatnonzero([is_keyword(label) for label in handling.labels])
        known = np.concatenate([before, probabilities])[:, keywords]
        numbers = np.arange(heard + 1, heard + 1 + len(probabilities))
        sums = sum(known[lag : lag + len(probabilities)] for lag in range(handling.smoothing))
        means = sums / np.minimum(numbers, handling.smoothing)[:, None]
        best = means.argmax(axis=1)
        return cls(handling, means[np.arange(len(means)), best], keywords[best])

    def firing(self, threshold: float, wait: int = 0) -> list[int]:
        """Returns the windows that detect.

        Args:
            threshold: What a score must reach.
            wait: First windows that the refractory time of an earlier detection still covers.
        """
        reaching = np.flatnonzero(self.scores >= threshold)
        found, place = [], int(np.searchsorted(reaching, wait))
        while place < len(reaching):
            found.append(int(reaching[place]))
            after = found[-1] + 1 + self.handling.refractory
            place = int(np.searchsorted(reaching, after))
        return found

    def detections(self, threshold: float) -> list[Detection]:
        """Returns what is detected at a threshold, in order of time."""
        return [self.detection(window, window) for window in self.firing(threshold)]

    def detection(self, window: int, number: int) -> Detection:
        """Returns what a window detects, which is the one of that `number` in its stream."""
        return Detection(
            self.handling.labels[self.classes[window]],
            self.handling.time_seconds(number),
            float(self.scores[window]),
        )


class Detector:
    """Detects keywords while a stream goes on, as `Candidates.detections` of the whole would.

    Args:
        handling: How probabilities become detections.
        threshold: What a score must reach.

    Raises:
        ValueError: If the threshold isn't above 0.
    """

    def __init__(self, handling: Handling, threshold: float):
        if not threshold > 0:
            raise ValueError(f"A threshold is above 0. Received: {threshold}.")
        self.handling = handling
        self.threshold = threshold
        self._heard = 0
        self._wait = 0
        self._before = np.zeros((handling.smoothing - 1, len(handling.labels)))

    def feed(self, probabilities: np.ndarray) -> Sequence[Detection]:
        """Returns what is detected now.

        Args:
            probabilities: `(any, classes)`, those of the windows that come next.
        """
        count = len(probabilities)
        found = Candidates.after(self._before, self._heard, probabilities, self.handling)
        firing = found.firing(self.threshold, self._wait)
        detections = [found.detection(window, self._heard + window) for window in firing]
        if firing:
            self._wait = firing[-1] + 1 + self.handling.refractory
        self._wait = max(0, self._wait - count)
        known = np.concatenate([self._before, probabilities])
        self._before = known[len(known) - (self.handling.smoothing - 1) :]
        self._heard += count
        return detections
