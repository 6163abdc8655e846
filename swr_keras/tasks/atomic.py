"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

_PREFIX = ".swr-unfinished-"
UNFINISHED = f"{_PREFIX}*"  # what a killed process leaves, as a glob


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path`, of the same suffix, to write a file to.

    The file takes the place of `path` at the end of the block; at an error it is removed and
    `path` stays as it was.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{_PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, data: bytes):
    """Writes a file by way of a temporary one beside it, so no half-written file is ever seen."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
