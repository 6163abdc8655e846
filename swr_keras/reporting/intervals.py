"""How sure a share of right answers is, given the number of examples."""

import math

_Z95 = 1.959964


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a share, both ends in [0, 1].

    Args:
        share: Share of successes, in [0, 1].
        count: Number of examples, at least 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if not 0 <= share <= 1 or count < 1:
        raise ValueError(
            "An interval needs a share in [0, 1] of at least one example. Received: "
            f"share={share}, count={count}."
        )
    scale = 1 + _Z95**2 / count
    centre = (share + _Z95**2 / (2 * count)) / scale
    spread = share * (1 - share) / count + _Z95**2 / (4 * count**2)
    half = _Z95 * math.sqrt(spread) / scale
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def difference_interval(
    first: float, second: float, both: float, count: int
) -> tuple[float, float]:
    """Returns the 95 % interval of the difference `first - second` of two shares.

    Args:
        first, second: Shares of successes on the same examples, in [0, 1].
        both: Share of the examples on which both succeeded.
        count: Number of examples, at least 1.

    Source: method 10 of Newcombe, "Improved confidence intervals for the difference between
    binomial proportions based on paired data" (1998).
    """
    rounding = 1e-9
    if not max(0.0, first + second - 1) - rounding <= both <= min(first, second) + rounding:
        raise ValueError(
            "The share of examples on which both succeeded must fit the shares of each. Received: "
            f"first={first}, second={second}, both={both}."
        )
    (low1, high1), (low2, high2) = wilson_interval(first, count), wilson_interval(second, count)
    correlation = _correlation(first, second, both, count)
    difference = first - second
    return (
        difference - _combined(first - low1, high2 - second, correlation),
        difference + _combined(high1 - first, second - low2, correlation),
    )


def _combined(first, second, correlation):
    """Half-width for a difference of two correlated shares with half-widths of their own."""
    return math.sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0.0))


def _correlation(first, second, both, count):
    """Phi of two binary outcomes, its covariance lowered by half a count where it is positive."""
    scale = math.sqrt(first * (1 - first) * second * (1 - second))
    covariance = both - first * second
    if covariance > 0:
        covariance = max(covariance - 1 / (2 * count), 0.0)
    return covariance / scale if scale else 0.0
