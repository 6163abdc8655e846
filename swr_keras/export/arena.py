"""How much working memory TFLite Micro takes for a model on this host."""

import re
import subprocess
import sys

from swr_keras.export.flatbuffer import ExportError, read_flatbuffer

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


def arena_bytes_host(data: bytes) -> int:
    """Measures the tensor arena of a model on this host, in bytes.

    A device differs: with 32-bit pointers it takes some 10 % less than a 64-bit host, and
    optimised kernels add scratch buffers.

    Args:
        data: Contents of a `.tflite` file that passes `verify_int8`.

    Raises:
        ExportError: If the file is damaged or TFLite Micro can't run it.
    """
    arena = read_flatbuffer(data).arena_limit_bytes
    command = [sys.executable, "-c", _REPORT, str(arena)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S)
    report = done.stderr.decode(errors="replace")
    found = re.search(r"Arena allocation total (\d+) bytes", report)
    if not found:
        raise ExportError(
            f"TFLite Micro can't run the model: {report.strip() or done.returncode}. Check it with "
            "`verify_int8`."
        )
    return int(found[1])
