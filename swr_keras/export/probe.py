"""Files that nobody vouches for are first run in a process of their own, with limits."""

import functools
import json
import pathlib
import subprocess
import sys

from swr_keras.export.errors import ExportError

_WORKER = pathlib.Path(__file__).with_name("probe_worker.py")
_TIMEOUT_S = 60
_MOST_BYTES = 256 * 2**20


@functools.lru_cache(maxsize=64)
def check_foreign(data: bytes) -> None:
    """Loads a `.tflite` file and runs it once on each engine, in a process of its own.

    Engines trust what a file says of itself: a damaged or hostile one can end the process that
    loads it, or take all its memory or time. What survives here behaves alike in this process.

    Args:
        data: Contents of the file.

    Raises:
        ExportError: If it is too large, can't be read, or a process that ran it died or did not
            end.
    """
    if len(data) > _MOST_BYTES:
        raise ExportError(
            f"Expected the contents of a .tflite file for a microcontroller. Received: {len(data)} "
            f"bytes, more than {_MOST_BYTES}."
        )
    command = [sys.executable, "-I", str(_WORKER)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"Loading and running the {len(data)} bytes took more than {_TIMEOUT_S} s. {_CURE}"
        ) from None
    try:
        problem = json.loads(done.stdout)["problem"]
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        problem = f"the process that ran it died with code {done.returncode} ({last[:200]})"
    if problem:
        raise ExportError(
            f"Expected the contents of a .tflite file. Received: {len(data)} bytes that can't be "
            f"loaded and run: {problem}. {_CURE}"
        )


_CURE = "The file may be cut short or damaged; export it again."
