"""How well keywords are detected in a stream of which it is known what was said when."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from swr_keras.streaming.detection import Candidates, Detection

_STEP = 1.05
_SECONDS_PER_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A keyword that was said.

    Attributes:
        label: The keyword.
        start_seconds, end_seconds: Where it lies in the stream.
    """

    label: str
    start_seconds: float
    end_seconds: float


@dataclasses.dataclass(frozen=True)
class Truth:
    """What was said in a stream.

    Attributes:
        utterances: The keywords.
        seconds: Length of the stream.
        tolerance_seconds: How long after its end a keyword may still be detected.
    """

    utterances: tuple[Utterance, ...]
    seconds: float
    tolerance_seconds: float = 0.5

    @property
    def hours(self) -> float:
        """Length of the stream in hours."""
        return self.seconds / _SECONDS_PER_HOUR


@dataclasses.dataclass(frozen=True)
class Operation:
    """What detections are worth at one threshold.

    Attributes:
        threshold: What a score had to reach.
        said: How often each keyword was said.
        heard: How often each was detected in its place.
        false_accepts: The other detections: of what wasn't said then, or was detected already.
        confusions: Those of them that lie in the place of another keyword.
        hours: Length of the stream.
    """

    threshold: float
    said: Mapping[str, int]
    heard: Mapping[str, int]
    false_accepts: int
    confusions: int
    hours: float

    @property
    def recall(self) -> float:
        """Share of the keywords that were detected; NaN where none was said."""
        said = sum(self.said.values())
        return sum(self.heard.values()) / said if said else float("nan")

    @property
    def recall_by_word(self) -> dict[str, float]:
        """The same of each keyword that was said."""
        return {word: self.heard.get(word, 0) / count for word, count in self.said.items()}

    @property
    def false_accepts_per_hour(self) -> float:
        """False accepts per hour of the stream."""
        return self.false_accepts / self.hours


def score(detections: Iterable[Detection], truth: Truth, threshold: float) -> Operation:
    """Compares detections with what was said.

    A detection counts where the keyword was said and not detected yet, from the start of its
    utterance until the tolerance after its end. Any other one is a false accept, as in NIST's
    spoken term detection: of another keyword, of an unknown word, in noise, or once more.

    Args:
        detections: In order of time.
        truth: What was said.
        threshold: What their scores had to reach, to be noted.
    """
    places = sorted(truth.utterances, key=lambda each: each.start_seconds)
    starts = [each.start_seconds for each in places]
    longest = max((each.end_seconds - each.start_seconds for each in places), default=0.0)
    open_places = set(range(len(places)))
    heard: Counter[str] = Counter()
    false_accepts = confusions = 0
    for detection in detections:
        time = detection.time_seconds
        first = np.searchsorted(starts, time - longest - truth.tolerance_seconds, "left")
        last = np.searchsorted(starts, time, "right")
        near = [
            place
            for place in range(first, last)
            if time <= places[place].end_seconds + truth.tolerance_seconds
        ]
        fitting = [
            place
            for place in near
            if place in open_places and places[place].label == detection.label
        ]
        if fitting:
            open_places.remove(fitting[0])
            heard[detection.label] += 1
        else:
            false_accepts += 1
            confusions += any(places[place].label != detection.label for place in near)
    said = dict(sorted(Counter(each.label for each in places).items()))
    return Operation(threshold, said, dict(heard), false_accepts, confusions, truth.hours)


def curve(candidates: Candidates, truth: Truth) -> list[Operation]:
    """Returns what detection is worth at all thresholds that matter, from the highest one down.

    The highest one detects nothing. From one to the next, some 5 % more windows reach it.

    Args:
        candidates: Of the whole stream.
        truth: What was said in it.
    """
    return [
        score(candidates.detections(threshold), truth, threshold)
        for threshold in _thresholds(candidates.scores)
    ]


def best_within(operations: Sequence[Operation], false_accepts_per_hour: float) -> Operation:
    """Returns the operation of the lowest threshold from which on upwards a limit is kept.

    A lower threshold can have fewer false accepts by chance, where an earlier detection hides a
    later one; it isn't relied on.

    Args:
        operations: What `curve` returned.
        false_accepts_per_hour: The limit.

    Raises:
        ValueError: If the limit is negative.
    """
    if not false_accepts_per_hour >= 0:
        raise ValueError(
            f"The limit of false accepts is 0 or more. Received: {false_accepts_per_hour}."
        )
    chosen = operations[0]
    for operation in operations:
        if operation.false_accepts_per_hour > false_accepts_per_hour:
            break
        chosen = operation
    return chosen


def _thresholds(scores: np.ndarray) -> list[float]:
    """Returns the scores at ranks that grow by 5 %, to the lowest, after one that none reaches."""
    ordered = np.sort(scores[scores > 0])[::-1]
    if not len(ordered):
        return [1.0]
    ranks, rank = [len(ordered) - 1], 0.0
    while rank < len(ordered):
        ranks.append(int(rank))
        rank = max(rank + 1, rank * _STEP)
    reached = np.unique(ordered[ranks])[::-1]
    return [float(np.nextafter(reached[0], np.inf)), *reached.tolist()]
