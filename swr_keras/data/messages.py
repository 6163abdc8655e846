"""Error texts shared by the data sets."""

from collections.abc import Iterable


def first_few(items: Iterable[str], shown: int = 5) -> str:
    """Returns up to `shown` items, one a line, and how many there are in all."""
    items = list(items)
    lines = "".join(f"\n  {item}" for item in items[:shown])
    return f"{lines}\n  ({min(len(items), shown)} of {len(items)} shown)"
