"""Opening files of strangers without waiting on what isn't a file."""

import os
import stat
from pathlib import Path

from swr_keras.files import read_bytes
from swr_keras.messages import legible

_MAX_TEXT_BYTES = 64 * 2**20


def check_regular(path: str | os.PathLike[str]) -> None:
    """Checks that a path is a file with content of its own: a FIFO or device has no end.

    Raises:
        ValueError: If it is missing, a dangling link, out of reach or not a regular file.
    """
    name = legible(os.fspath(path))
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ValueError(f"{name}: can't be read ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name}: not a regular file. Replace it by one, or remove it.")


def read_text(path: Path, *, errors: str = "strict") -> str:
    """Returns the text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: The file.
        errors: As for `bytes.decode`.

    Raises:
        ValueError: If it is not a regular file, can't be read, is too large or is not UTF-8.
    """
    check_regular(path)
    content = read_bytes(path, kind="a text file", most_bytes=_MAX_TEXT_BYTES)
    try:
        return content.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{legible(str(path))}: not UTF-8 text ({error}). Save it as UTF-8."
        ) from error
