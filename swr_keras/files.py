"""Files and folders that are written whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from typing import Any

_PREFIX = ".swr-unfinished-"
UNFINISHED = f"{_PREFIX}*"  # what a killed process leaves, as a glob
_STALE_SECONDS = 24 * 3600
_MOST_BYTES = 2**31
_MOST_JSON_BYTES = 2**26
_MOST_NAME_BYTES = 200


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path`, of the same suffix, to write a file to.

    The file takes the place of `path` at the end of the block; at an error it is removed and
    `path` stays as it was.
    """
    path = pathlib.Path(path)
    name = path.name
    if len(os.fsencode(name)) > _MOST_NAME_BYTES:  # Room for what is put before it.
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + path.suffix
    temporary = path.with_name(f"{_PREFIX}{os.getpid()}-{name}")
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


def write_json(path: str | os.PathLike, values: Any):
    """Writes values as indented JSON, whole or not at all.

    Raises:
        ValueError: If one is NaN or infinite, which `read_json` would refuse.
    """
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text.encode())


def read_bytes(path: str | os.PathLike, *, kind: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """Reads a file from outside: only a regular one, and of no more than a known size.

    Args:
        path: The file.
        kind: What it should be, for messages, such as "a task pack".
        most_bytes: Most bytes that it may have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, a pipe or a device, can't be read, or is too large.
    """
    # Opening a pipe would wait for its other end.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError(f"'{path}' is no regular file. Give the file of {kind}.")
            if found.st_size > most_bytes:
                raise ValueError(
                    f"'{path}' is too large for {kind}. Received: {found.st_size:,} bytes, at most "
                    f"{most_bytes:,} are read."
                )
            return file.read(most_bytes)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            f"There is no such file (or a link leads nowhere), expected {kind}",
            os.fspath(path),
        ) from None
    except OSError as error:
        raise ValueError(f"'{path}' can't be read as {kind}: {error.strerror}.") from None


def read_json(path: str | os.PathLike, *, kind: str, most_bytes: int = _MOST_JSON_BYTES) -> Any:
    """Reads a JSON file from outside; arguments and errors are those of `read_bytes`.

    Raises:
        ValueError: If it is no JSON, in UTF-8, of finite numbers; names the file.
    """
    data = read_bytes(path, kind=kind, most_bytes=most_bytes)
    try:
        return parse_json(data.decode())
    except ValueError as error:
        raise ValueError(f"'{path}' can't be read as {kind}: {error}") from None


def parse_json(text: str) -> Any:
    """Parses JSON of finite numbers.

    Raises:
        ValueError: If the text is none, or nested too deep.
    """

    def refuse(constant):
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def default_cache() -> pathlib.Path:
    """Returns `swr_keras` in `$XDG_CACHE_HOME`, or in `~/.cache` where that is unset or relative.

    Source: the XDG base directory specification.
    """
    root = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (root if root.is_absolute() else pathlib.Path.home() / ".cache") / "swr_keras"


@contextlib.contextmanager
def complete_folder(folder: pathlib.Path, num_bytes: int) -> Iterator[pathlib.Path]:
    """Yields an empty folder that becomes `folder` when the block ends well, and vanishes if not.

    Where another process makes `folder` meanwhile, that one stays. What killed processes left more
    than a day ago is removed.

    Args:
        folder: The folder to make; its parents are made, too.
        num_bytes: What will be written, for a check of the space left.

    Raises:
        OSError: If the parent can't be written, or its disk is too full, or is so meanwhile.
    """
    parent = folder.parent
    temporary = parent / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"The cache {parent} can't be written: {error.strerror}. Pass another folder, or set "
            "XDG_CACHE_HOME to one",
        ) from error
    try:
        _remove_stale(parent, f".{folder.name}-*")
        _check_space(parent, num_bytes)
        yield temporary
        _rename(temporary, folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"The disk of the cache {parent} is full: {num_bytes / 1e6:.0f} MB are needed. Free "
            "some space, pass another folder, or set XDG_CACHE_HOME to one",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_space(parent: pathlib.Path, num_bytes: int) -> None:
    if shutil.disk_usage(parent).free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _rename(temporary: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _remove_stale(parent: pathlib.Path, pattern: str) -> None:
    for left in parent.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
