"""The most memory that a process took for a while, where the system tells it (Linux)."""

import contextlib
import pathlib
import re

_RESET = pathlib.Path("/proc/self/clear_refs")
_STATUS = pathlib.Path("/proc/self/status")


def forget_peak() -> None:
    """Begins anew: what was taken and given back before doesn't count from here on."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def peak_bytes() -> int | None:
    """Returns the most bytes that this process had since `forget_peak`; `None` if not known."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
