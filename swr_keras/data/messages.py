"""Error texts shared by the data sets."""

from collections.abc import Iterable

_SHOWN = 5


def first_few(items: Iterable[str]) -> str:
    """Returns up to five items, one a line, and how many there are in all."""
    items = list(items)
    lines = "".join(f"\n  {item}" for item in items[:_SHOWN])
    return f"{lines}\n  ({min(len(items), _SHOWN)} of {len(items)} shown)"
