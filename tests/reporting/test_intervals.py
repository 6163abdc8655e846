import numpy as np
import pytest

from swr_keras.reporting.intervals import difference_interval, wilson_interval


def test_wilson_interval():
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    for share, count in ((1.2, 10), (0.5, 0)):
        with pytest.raises(ValueError, match="share in"):
            wilson_interval(share, count)


def test_difference_interval_covers_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    pairs = rng.binomial(200, (0.92, 0.85), (2000, 2)) / 200
    covered = [low <= 0.07 <= high for low, high in (difference_interval(*p, 200) for p in pairs)]
    assert 0.935 < np.mean(covered) < 0.97
    low, high = difference_interval(0.9, 0.8, 100)
    assert difference_interval(0.8, 0.9, 100) == pytest.approx((-high, -low))
