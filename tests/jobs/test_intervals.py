import numpy as np
import pytest
from scipy import stats

from swr_keras.jobs.intervals import mean_interval, over_repetitions, paired_difference


@pytest.mark.parametrize(
    ("values", "form", "text"),
    [
        ([80.0], ".1f", "80.0"),
        ([70.0, 80.0, 90.0], ".1f", "80.0 ± 24.8"),
        ([5.0, 7.5], "+.1f", "+6.2 ± 15.9"),
        ([0.5, 0.5], ".2f", "0.50 ± 0.00"),
    ],
)
def test_a_mean_is_written_with_students_interval(values, form, text):
    assert format(mean_interval(values), form) == text


def test_it_is_the_interval_of_a_t_test():
    values = np.random.default_rng(0).normal(size=5).tolist()
    found = mean_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (low, high)
    )
    assert found.count == 5


def test_tasks_of_a_repetition_are_not_repetitions():
    values = {(0, "english"): 1.0, (0, "mandarin"): 3.0, (1, "english"): 6.0}
    assert over_repetitions(values) == mean_interval([2.0, 6.0])


def test_differences_are_paired_by_repetition_and_task():
    ours = {(0, "english"): 10.0, (0, "mandarin"): 50.0, (1, "english"): 30.0, (2, "english"): 9.0}
    theirs = {(0, "english"): 8.0, (0, "mandarin"): 46.0, (1, "english"): 29.0, (3, "english"): 9.0}
    assert paired_difference(ours, theirs) == mean_interval([3.0, 1.0])
    assert paired_difference(ours, {}) is None


@pytest.mark.parametrize("of_nothing", [lambda: mean_interval([]), lambda: over_repetitions({})])
def test_nothing_has_no_mean(of_nothing):
    with pytest.raises(ValueError, match="one or more repetitions. Received: none"):
        of_nothing()
