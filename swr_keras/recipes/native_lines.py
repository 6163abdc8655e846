"""Copies its input to stderr without the lines that TensorFlow's native code writes.

Run as a program, without this package.
"""

import re
import signal
import sys

NATIVE = re.compile(
    rb"[IWE]\d{4} [\d:.]+\s+\d+ \S+\.(cc|h|cu):\d+\]"
    rb"|WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|To enable the following instructions: "
    rb"|fully_quantize: \d"
    rb"|INFO: Created TensorFlow Lite"
)


def copy(source, target):
    """Copies lines as they come."""
    for line in source:
        if not NATIVE.match(line):
            target.write(line)
            target.flush()


if __name__ == "__main__":
    # Interrupted from the terminal, it goes on until the other process has said why it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    copy(sys.stdin.buffer, sys.stderr.buffer)
