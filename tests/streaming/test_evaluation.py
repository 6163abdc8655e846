import numpy as np
import pytest

from swr_keras.streaming import (
    Candidates,
    Detection,
    Handling,
    Truth,
    Utterance,
    best_within,
    curve,
    score,
)

SAID = (Utterance("yes", 10, 11), Utterance("no", 20, 21), Utterance("yes", 21, 22))
TRUTH = Truth(SAID, seconds=1800)
LABELS = ("_silence_", "no", "yes")


@pytest.mark.parametrize(
    ("detections", "heard", "false_accepts", "confusions"),
    [
        ([], {}, 0, 0),
        ([(10.8, "yes")], {"yes": 1}, 0, 0),
        ([(10.0, "yes")], {"yes": 1}, 0, 0),
        ([(9.99, "yes")], {}, 1, 0),
        ([(11.5, "yes")], {"yes": 1}, 0, 0),
        ([(11.51, "yes")], {}, 1, 0),
        ([(10.8, "yes"), (11.3, "yes")], {"yes": 1}, 1, 0),
        ([(10.8, "no")], {}, 1, 1),
        ([(15.0, "no")], {}, 1, 0),
        ([(21.2, "no"), (21.3, "yes")], {"no": 1, "yes": 1}, 0, 0),
        ([(20.5, "yes")], {}, 1, 1),
        ([(10.8, "yes"), (20.9, "no"), (22.0, "yes")], {"no": 1, "yes": 2}, 0, 0),
    ],
)
def test_a_keyword_counts_once_and_in_its_place(detections, heard, false_accepts, confusions):
    found = score([Detection(label, time, 1.0) for time, label in detections], TRUTH, 0.5)
    assert found.heard == heard
    assert (found.false_accepts, found.confusions) == (false_accepts, confusions)
    assert found.said == {"no": 1, "yes": 2}
    assert found.recall == pytest.approx(sum(heard.values()) / 3)
    assert found.recall_by_word["yes"] == heard.get("yes", 0) / 2
    assert found.false_accepts_per_hour == 2 * false_accepts


def test_one_word_said_twice_at_once_is_heard_twice():
    twice = Truth((Utterance("yes", 10, 11), Utterance("yes", 11, 12)), 60)
    found = score([Detection("yes", time, 1.0) for time in (11.2, 11.9)], twice, 0.5)
    assert (found.heard, found.false_accepts) == ({"yes": 2}, 0)


def test_nothing_said_has_no_recall():
    found = score([Detection("yes", 5, 1.0)], Truth((), 3600), 0.5)
    assert np.isnan(found.recall)
    assert found.false_accepts_per_hour == 1


def candidates(peaks, seconds=210):
    """One window a second that sees silence but for peaks `(second, class, probability)`."""
    probabilities = np.zeros((seconds, 3), np.float32)
    for second, label, probability in peaks:
        probabilities[second, label] = probability
    probabilities[:, 0] = 1 - probabilities[:, 1:].sum(axis=1)
    return Candidates.of(probabilities, Handling(LABELS, 0.0, 1.0, 1, 1))


@pytest.fixture
def words():
    """Ten words, heard the better the later, between ten false accepts."""
    places = range(10, 200, 20)
    truth = Truth(tuple(Utterance("yes", place - 1, place) for place in places), 3600)
    heard = [(place, 2, 0.5 + 0.04 * number) for number, place in enumerate(places)]
    false = [(place + 10, 1, 0.315 + 0.05 * number) for number, place in enumerate(places)]
    return candidates([*heard, *false]), truth


def test_a_curve_rises_from_nothing_to_all(words):
    found = curve(*words)
    assert (found[0].recall, found[0].false_accepts) == (0, 0)
    assert (found[-1].recall, found[-1].false_accepts) == (1, 10)
    for values in (
        [-each.threshold for each in found],
        [each.recall for each in found],
        [each.false_accepts for each in found],
    ):
        assert values == sorted(values)


def test_a_point_of_the_curve_is_what_its_threshold_gives(words):
    for each in curve(*words):
        again = score(words[0].detections(each.threshold), words[1], each.threshold)
        assert again == each


@pytest.mark.parametrize(
    ("limit", "recall"), [(0, 0.3), (0.5, 0.3), (1, 0.4), (2, 0.5), (5, 0.9), (100, 1.0)]
)
def test_the_chosen_threshold_keeps_the_limit_and_no_lower_one_does(words, limit, recall):
    found = curve(*words)
    chosen = best_within(found, limit)
    assert chosen.false_accepts_per_hour <= limit
    assert chosen.recall == pytest.approx(recall)
    lower = [each for each in found if each.threshold < chosen.threshold]
    assert all(each.false_accepts_per_hour > limit for each in lower)


def test_a_limit_that_a_lower_threshold_keeps_by_chance_is_not_relied_on():
    # At 0.5 the confusion at 9 s hides the one at 10 s, which alone is heard at 0.7.
    truth = Truth((Utterance("no", 8, 9),), 3600)
    hiding = candidates([(9, 1, 0.5), (10, 2, 0.7)])
    found = curve(hiding, truth)
    assert [each.false_accepts for each in found[:3]] == [0, 1, 0]
    assert best_within(found, 0).threshold == found[0].threshold


def test_nothing_heard_is_a_curve_too():
    empty = Candidates.of(np.zeros((0, 3), np.float32), Handling(LABELS, 0.0, 1.0, 1, 1))
    (only,) = curve(empty, TRUTH)
    assert (only.recall, only.false_accepts) == (0, 0)


@pytest.mark.parametrize("limit", [-1, float("nan")])
def test_a_negative_limit_is_refused(words, limit):
    with pytest.raises(ValueError, match="0 or more"):
        best_within(curve(*words), limit)
