"""Error texts that data sets share."""

import os
from collections.abc import Iterable


def first_few(items: Iterable[str], shown: int = 5) -> str:
    """Returns up to `shown` items, one a line, and how many there are in all."""
    items = list(items)
    lines = "".join(f"\n  {legible(item)}" for item in items[:shown])
    return f"{lines}\n  ({min(len(items), shown)} of {len(items)} shown)"


def legible(path: str) -> str:
    """Returns a path that can be printed: a byte that isn't UTF-8 becomes like `\\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")
