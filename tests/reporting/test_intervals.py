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


def _table(correlated):
    """Chances that two models are right on a clip: both, the first alone, the second alone."""
    return (0.83, 0.09, 0.02, 0.06) if correlated else (0.782, 0.138, 0.068, 0.012)


@pytest.mark.parametrize("correlated", [True, False])
def test_difference_interval_covers_the_truth_95_times_in_100(correlated):
    draws = np.random.default_rng(0).multinomial(200, _table(correlated), 2000) / 200
    found = [difference_interval(b + f, b + s, b, 200) for b, f, s, _ in draws]
    covered = [low <= 0.07 <= high for low, high in found]
    assert 0.935 < np.mean(covered) < 0.97


def test_difference_interval_is_narrower_where_models_err_together():
    low, high = difference_interval(0.9, 0.8, 0.79, 100)
    assert difference_interval(0.8, 0.9, 0.79, 100) == pytest.approx((-high, -low))
    wide_low, wide_high = difference_interval(0.9, 0.8, 0.72, 100)
    assert high - low < 0.75 * (wide_high - wide_low)
    for sure in (0.0, 1.0):
        low, high = difference_interval(sure, sure, sure, 50)
        assert low < 0 < high
    with pytest.raises(ValueError, match="both succeeded must fit"):
        difference_interval(0.5, 0.6, 0.55, 10)


def test_difference_interval_of_a_published_example():
    """Newcombe's table II, row (36, 12, 2, 0): difference 0.2."""
    low, high = difference_interval(48 / 50, 38 / 50, 36 / 50, 50)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
