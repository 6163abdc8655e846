"""Generated C on this machine."""

import ctypes
import math
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

import numpy as np

from swr_keras.device.plain_c.plan import ARENA_UNIT
from swr_keras.device.to_c import CSources

_COMPILERS = ("cc", "gcc", "clang")


class _Task(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("name", "labels", "program", "operations")),
        ("input_count", ctypes.c_uint32),
        ("output_count", ctypes.c_uint32),
        ("input_scale", ctypes.c_float),
        ("output_scale", ctypes.c_float),
        ("input_zero_point", ctypes.c_int8),
        ("output_zero_point", ctypes.c_int8),
    ]


class HostModel:
    """Runs what `to_c` wrote, compiled by this machine's C compiler.

    Args:
        sources: The sources.
        compiler: Command of the compiler; default: the first one found of cc, gcc and clang.
        flags: What it is told beside C11 and a shared library.

    Attributes:
        names: Names of the tasks.
        library: The compiled sources, whose symbols are those of C.

    Raises:
        OSError: If there is no compiler.
        RuntimeError: If it refuses the sources; has its messages.

    Example:
        >>> outputs = HostModel(to_c(bundle)).predict_int8("english", q)
    """

    def __init__(
        self,
        sources: CSources,
        *,
        compiler: str | None = None,
        flags: Sequence[str] = ("-O2",),
    ):
        self.names = tuple(sources.sizes.private_bytes)
        with tempfile.TemporaryDirectory() as folder:
            self.library = ctypes.CDLL(_compile(sources, folder, compiler, flags))
        self._tasks = (_Task * len(self.names)).in_dll(self.library, f"{sources.name}_tasks")
        for name in ("swr_input", "swr_output"):
            getattr(self.library, name).restype = ctypes.c_void_p
        self.library.swr_trunk.restype = ctypes.c_bool
        self._memory = np.empty(sources.sizes.arena_bytes + ARENA_UNIT, np.int8)
        start = self._memory.ctypes.data
        self._address = ctypes.c_void_p(start + -start % ARENA_UNIT)

    def predict_int8(self, task: str, q: np.ndarray) -> np.ndarray:
        """Computes the int8 outputs `(n, outputs)` of int8 inputs `(n, ...)`.

        Raises:
            KeyError: If there is no such task.
            ValueError: If `q` isn't int8 or of another size.
        """
        entry = self._entry(task)
        q = np.asarray(q)
        if q.dtype != np.int8 or math.prod(q.shape[1:]) != entry.input_count:
            raise ValueError(
                f"Expected int8 examples of {entry.input_count} values. Received: {q.dtype} of "
                f"shape {q.shape}."
            )
        outputs = []
        for example in q:
            self._write(entry, example)
            self.library.swr_invoke(ctypes.byref(entry), self._address)
            outputs.append(self._read(entry))
        return np.asarray(outputs, np.int8).reshape(len(q), entry.output_count)

    def predict_together(self, tasks: Sequence[str], q: np.ndarray) -> list[np.ndarray]:
        """Computes what tasks share once, then the outputs `(outputs,)` of each.

        Args:
            tasks: Tasks of one architecture, in sources with `keep_trunk`.
            q: One int8 example.

        Raises:
            KeyError: If there is no such task.
            ValueError: If the sources have no trunk for the tasks, or `q` is of another size.
        """
        entries = [self._entry(task) for task in tasks]
        if len({entry.program for entry in entries}) != 1:
            raise ValueError(
                "Tasks that are computed together are of one architecture. Received: "
                f"{', '.join(map(repr, tasks))}."
            )
        q = np.asarray(q)
        if q.dtype != np.int8 or q.size != entries[0].input_count:
            raise ValueError(
                f"Expected an int8 example of {entries[0].input_count} values. Received: {q.dtype} "
                f"of shape {q.shape}."
            )
        self._write(entries[0], q)
        if not self.library.swr_trunk(ctypes.byref(entries[0]), self._address):
            raise ValueError("The sources keep no trunk. Write them with `keep_trunk=True`.")
        outputs = []
        for entry in entries:
            self.library.swr_branch(ctypes.byref(entry), self._address)
            outputs.append(self._read(entry))
        return outputs

    def _entry(self, task):
        if task not in self.names:
            raise KeyError(f"No task '{task}' in these sources. They have {list(self.names)}.")
        return self._tasks[self.names.index(task)]

    def _write(self, entry, example):
        data = example.tobytes()
        ctypes.memmove(self.library.swr_input(ctypes.byref(entry), self._address), data, len(data))

    def _read(self, entry):
        place = self.library.swr_output(ctypes.byref(entry), self._address)
        return np.frombuffer(ctypes.string_at(place, entry.output_count), np.int8)


def _compile(sources, folder, compiler, flags):
    command = compiler or next(filter(shutil.which, _COMPILERS), None)
    if command is None or not shutil.which(command):
        raise OSError(
            f"No C compiler was found: {compiler or ', '.join(_COMPILERS)}. Install one, such as "
            "gcc, and put it on the PATH."
        )
    sources.save(folder)
    library = str(pathlib.Path(folder) / "model.so")
    files = sorted(name for name in sources.files if name.endswith(".c"))
    done = subprocess.run(
        [command, "-std=c11", "-shared", "-fPIC", *flags, *files, "-o", library],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command} refuses the sources: {done.stderr.strip()[:2000]}")
    return library
