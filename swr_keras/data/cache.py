"""Folders that are built once, and are complete or absent."""

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_STALE_SECONDS = 24 * 3600


def default_cache() -> Path:
    """Returns `swr_keras` in `$XDG_CACHE_HOME`, or in `~/.cache` where that is unset or relative.

    Source: the XDG base directory specification.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (root if root.is_absolute() else Path.home() / ".cache") / "swr_keras"


@contextlib.contextmanager
def complete_folder(folder: Path, num_bytes: int) -> Iterator[Path]:
    """Yields an empty folder that becomes `folder` when the block ends well, and vanishes if not.

    Where another process makes `folder` meanwhile, that one stays. What killed processes left more
    than a day ago is removed.

    Args:
        folder: the folder to make; its parents are made, too.
        num_bytes: what will be written, for a check of the space left.

    Raises:
        OSError: the parent can't be written, or its disk is too full, or is so meanwhile.
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


def _check_space(parent: Path, num_bytes: int) -> None:
    if shutil.disk_usage(parent).free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _remove_stale(parent: Path, pattern: str) -> None:
    for left in parent.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
