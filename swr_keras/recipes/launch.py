"""What a recipe does before TensorFlow is loaded."""

import atexit
import contextlib
import os
import pathlib
import platform
import subprocess
import sys

_FILTER = pathlib.Path(__file__).with_name("native_lines.py")
_STDERR = 2
_PATIENCE_S = 5


def prepare() -> None:
    """Sets up TensorFlow for the command line; to be called before its first import.

    On x86 without AVX-512, TensorFlow leaves its fast kernels off unless told. A process takes
    all memory of a GPU unless told, which leaves none to those beside it. And whatever the
    level of its log, its native code writes lines of its own to the terminal: these are left out,
    by a process of its own, so that nothing else is lost whatever becomes of this one.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    sys.stderr.flush()
    terminal = os.dup(_STDERR)
    source, sink = os.pipe()
    reader = subprocess.Popen([sys.executable, "-I", str(_FILTER)], stdin=source)
    os.close(source)
    os.dup2(sink, _STDERR)
    os.close(sink)
    atexit.register(_restore, terminal, reader)


def _restore(terminal, reader):
    """Gives the terminal back, once all that was written has been read."""
    sys.stderr.flush()
    os.dup2(terminal, _STDERR)
    # Some other process may still hold the pipe.
    with contextlib.suppress(subprocess.TimeoutExpired):
        reader.wait(timeout=_PATIENCE_S)
