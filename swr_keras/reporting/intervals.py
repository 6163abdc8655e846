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


def difference_interval(first: float, second: float, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of the difference `first - second` of two shares.

    It takes the two as independent. Two models on the same examples mostly err together, so the
    interval is rather too wide than too narrow.

    Args:
        first, second: Shares of successes, in [0, 1].
        count: Number of examples of each, at least 1.

    Source: method 10 of Newcombe, "Interval estimation for the difference between independent
    proportions" (1998).
    """
    (low1, high1), (low2, high2) = wilson_interval(first, count), wilson_interval(second, count)
    difference = first - second
    return (
        difference - math.hypot(first - low1, high2 - second),
        difference + math.hypot(high1 - first, second - low2),
    )
