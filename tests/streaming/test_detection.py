import numpy as np
import pytest

from swr_keras.streaming import Candidates, Detector, Handling

LABELS = ("_silence_", "_unknown_", "no", "yes")
SILENCE, UNKNOWN, NO, YES = range(4)


def handling(smoothing=1, refractory=3, labels=LABELS):
    return Handling(labels, 1.0, 0.1, smoothing, refractory)


def stream(length, *peaks):
    """Probabilities of silence but for peaks `(window, class, probability)`."""
    found = np.zeros((length, len(LABELS)), np.float32)
    found[:, SILENCE] = 1
    for window, label, probability in peaks:
        found[window] = 0
        found[window, label] = probability
        found[window, SILENCE if label != SILENCE else UNKNOWN] += 1 - probability
    return found


CASES = {
    "silence": ([], {}, []),
    "one peak": ([(4, YES, 0.9)], {}, [(4, "yes")]),
    "the first window": ([(0, NO, 0.9)], {}, [(0, "no")]),
    "the last window": ([(19, NO, 0.9)], {}, [(19, "no")]),
    "just below the threshold": ([(4, YES, 0.75 - 1e-4)], {}, []),
    "at the threshold": ([(4, YES, 0.75)], {}, [(4, "yes")]),
    "unknown words": ([(4, UNKNOWN, 1.0)], {}, []),
    "a long peak": ([(w, YES, 0.9) for w in range(4, 8)], {}, [(4, "yes")]),
    "a peak longer than the refractory time": (
        [(w, YES, 0.9) for w in range(4, 9)],
        {},
        [(4, "yes"), (8, "yes")],
    ),
    "two within the refractory time": ([(4, YES, 0.9), (7, NO, 0.9)], {}, [(4, "yes")]),
    "two just beyond it": ([(4, YES, 0.9), (8, NO, 0.9)], {}, [(4, "yes"), (8, "no")]),
    "no refractory time": (
        [(4, YES, 0.9), (5, NO, 0.9)],
        {"refractory": 0},
        [(4, "yes"), (5, "no")],
    ),
    "what is hidden hides nothing": (
        [(4, YES, 0.9), (7, NO, 0.9), (9, NO, 0.9)],
        {},
        [(4, "yes"), (9, "no")],
    ),
    "one window is smoothed away": ([(4, YES, 1.0)], {"smoothing": 2}, []),
    "two windows are not": ([(4, YES, 1.0), (5, YES, 0.6)], {"smoothing": 2}, [(5, "yes")]),
    "the start has fewer to smooth": ([(0, YES, 1.0)], {"smoothing": 4}, [(0, "yes")]),
    "words don't add up": ([(4, YES, 1.0), (5, NO, 1.0)], {"smoothing": 2}, []),
}


@pytest.mark.parametrize("piece", [1, 3, 20], ids=lambda p: f"by {p}")
@pytest.mark.parametrize("case", CASES)
def test_what_is_detected(case, piece):
    peaks, options, expected = CASES[case]
    probabilities = stream(20, *peaks)
    at_once = Candidates.of(probabilities, handling(**options)).detections(0.75)
    assert [(each.label, each.time_seconds) for each in at_once] == [
        (label, pytest.approx(1 + 0.1 * window)) for window, label in expected
    ]
    detector = Detector(handling(**options), 0.75)
    in_pieces = [
        detection
        for start in range(0, 20, piece)
        for detection in detector.feed(probabilities[start : start + piece])
    ]
    assert in_pieces == at_once


def test_a_score_is_the_mean_of_the_last_windows():
    probabilities = stream(6, (2, YES, 0.9), (3, YES, 0.6))
    found = Candidates.of(probabilities, handling(smoothing=3))
    np.testing.assert_allclose(found.scores, [0, 0, 0.3, 0.5, 0.5, 0.2], atol=1e-6)
    assert {found.classes[window] for window in range(2, 6)} == {YES}
    (detection,) = found.detections(0.4)
    assert detection.score == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("smoothing", [1, 2, 5])
def test_a_stream_in_pieces_is_detected_as_a_whole(seed, smoothing):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.2] * 4, 300).astype(np.float32)
    rules = handling(smoothing, refractory=4)
    detector, cuts = Detector(rules, 0.5), np.sort(random.integers(0, 300, 30))
    found = [each for piece in np.split(probabilities, cuts) for each in detector.feed(piece)]
    assert found == Candidates.of(probabilities, rules).detections(0.5)
    assert len(found) > 5
    assert np.diff([each.time_seconds for each in found]).min() > 0.45


@pytest.mark.parametrize(
    "bad",
    [
        {"labels": ("_silence_", "_unknown_")},
        {"smoothing": 0},
        {"refractory": -1},
    ],
)
def test_impossible_rules_are_refused(bad):
    with pytest.raises(ValueError, match="Received: "):
        handling(**bad)


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_that_everything_reaches_is_refused(threshold):
    with pytest.raises(ValueError, match="above 0"):
        Detector(handling(), threshold)
