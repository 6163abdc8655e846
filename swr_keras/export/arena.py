"""How much working memory TFLite Micro takes for a model on this host."""

import re
import subprocess
import sys
from typing import Any

from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import FlatBuffer, read_model
from swr_keras.export.micro import MISSING, has_micro

# A process of its own, since TFLite Micro reports its memory on stderr alone.
_REPORT = """
import sys
from tflite_micro import runtime
data = sys.stdin.buffer.read()
interpreter = runtime.Interpreter.from_bytes(data, arena_size=int(sys.argv[1]))
interpreter.invoke()
interpreter.print_allocations()
"""
_TIMEOUT_S = 60


def arena_bytes_host(model: Any) -> int:
    """Measures the tensor arena of a model on this host, in bytes.

    A device differs: with 32-bit pointers it takes some 10 % less than a 64-bit host, and
    optimised kernels add scratch buffers.

    Args:
        model: A model that passes `verify_int8`, as for `LiteModel`.

    Raises:
        ExportError: If the file is damaged or TFLite Micro can't run it.
        ImportError: If TFLite Micro's kernels aren't installed.
    """
    if not has_micro():
        raise ImportError(MISSING)
    contents = read_model(model)
    report = _report(contents)
    found = re.search(r"Arena allocation total (\d+) bytes", report)
    if not found:
        raise ExportError(
            f"TFLite Micro can't run the model: {report}. Check it with `verify_int8`."
        )
    return int(found[1])


def refusal(contents: FlatBuffer) -> str:
    """Returns why TFLite Micro refuses a model, in its words; empty if it gives no reason."""
    return " ".join(line for line in _report(contents).splitlines() if _is_reason(line))


def _is_reason(line):
    return bool(line.strip()) and not line.startswith((" ", "Traceback", "RuntimeError"))


def _report(contents):
    """What TFLite Micro writes while it loads and runs a model."""
    command = [sys.executable, "-c", _REPORT, str(contents.arena_limit_bytes)]
    done = subprocess.run(command, input=contents.data, capture_output=True, timeout=_TIMEOUT_S)
    return done.stderr.decode(errors="replace").strip() or f"code {done.returncode}"
