"""Runs C programs on emulated microcontrollers, and counts what they need."""

import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from swr_keras.device.c_folders import C_FOLDERS

_SUPPORT = C_FOLDERS / "emulator"
_COMPILER, _SIZE, _ADDRESSES = (f"arm-none-eabi-{tool}" for tool in ("gcc", "size", "addr2line"))
_QEMU = "qemu-system-arm"
_INSTALL = (
    "apt-get install --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi "
    "qemu-system-arm"
)
_PROGRAM, _FILES, _OUTPUT, _REPORT = "program.elf", "files", "output", "report"
_REPORT_FORMAT = struct.Struct("<IIQIIII")
_ENDED = 1
_RAM_START = 0x20000000
_BELOW_STACK = 2**16
_ADDRESS_IS_VALID = 1 << 7 | 1 << 15
_MOST_SHOWN = 2000


@dataclass(frozen=True)
class _Board:
    machine: str
    flags: tuple[str, ...]
    layout: str


_BOARDS = {
    "cortex-m3": _Board("mps2-an385", (), "mps2.ld"),
    "cortex-m4": _Board("mps2-an386", ("-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2.ld"),
    "cortex-m55": _Board("mps3-an547", ("-mfloat-abi=hard", "-DSWR_EMULATOR_AN547"), "an547.ld"),
}


class EmulatorError(RuntimeError):
    """A program can't be built or run, or didn't end well.

    Attributes:
        output: What the program had printed.
    """

    def __init__(self, message: str, output: bytes = b""):
        shown = output[-_MOST_SHOWN:].decode(errors="replace")
        super().__init__(f"{message} It had printed: {shown!r}." if output else message)
        self.output = output


class MissingToolError(EmulatorError):
    """What builds or runs programs isn't installed."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of code and constants, of variables with a value, and of variables without."""

    text_bytes: int
    data_bytes: int
    bss_bytes: int


@dataclass(frozen=True)
class EmulatorResult:
    """What a program did and needed.

    Attributes:
        output: What it printed.
        instructions: How many it ran, its start and what it printed included. `swr_instructions`
            of `swr_emulator.h` counts those of a part.
        stack_bytes: The most that its stack held.
        heap_bytes: What was taken of the heap. The C library takes some to print.
        program: Sizes of the whole program, with start-up code and the C library; without stack.
        objects: Sizes of each source, by its folder and name, before the linker drops what is of no
            use.
    """

    output: bytes
    instructions: int
    stack_bytes: int
    heap_bytes: int
    program: Sizes
    objects: Mapping[str, Sizes]

    @property
    def text(self) -> str:
        """What the program printed, as text."""
        return self.output.decode()


class Emulator:
    """A microcontroller with one Cortex-M, emulated by QEMU, that runs C programs.

    A program has `main`, may print with `stdio.h`, and may include `swr_emulator.h`. It ends when
    `main` returns. QEMU counts instructions, the same in every run, not cycles. Use of what isn't
    memory is a fault; on Cortex-M3 and M4, writing to constants is one, too.

    A program can read and write files of this machine, as this process can: run only what you
    trust.

    Args:
        cpu: `"cortex-m3"`, `"cortex-m4"` (with its FPU) or `"cortex-m55"` (with vectors).
        optimize: The compiler's flag, such as `"-O2"` or `"-Os"`.
        stack_bytes: Size of the stack. A program that needs more is stopped.
        timeout_seconds: How long a program may run.

    Raises:
        ValueError: If there is no such `cpu`.

    Example:
        >>> result = Emulator("cortex-m4").run(["frontend/", "main.c"])
        >>> result.text, result.instructions
    """

    def __init__(
        self,
        cpu: str,
        *,
        optimize: str = "-O2",
        stack_bytes: int = 16 * 1024,
        timeout_seconds: float = 60,
    ):
        if cpu not in _BOARDS:
            raise ValueError(f"`cpu` must be one of {', '.join(_BOARDS)}. Received: cpu={cpu!r}.")
        self.cpu = cpu
        self.optimize = optimize
        self.stack_bytes = stack_bytes
        self.timeout_seconds = timeout_seconds
        self._board = _BOARDS[cpu]

    def run(
        self,
        sources: Iterable[str | os.PathLike],
        *,
        include: Iterable[str | os.PathLike] = (),
        defines: Mapping[str, str | int] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> EmulatorResult:
        """Builds a program and runs it.

        Args:
            sources: C files, and folders: all C files right in them, and headers for all.
            include: More folders with headers.
            defines: Macros and their values.
            files: What the program can read with `swr_read_file`, by name.

        Raises:
            EmulatorError: If the program doesn't compile, has a fault, ends with another status
                than 0 or doesn't end in time.
            MissingToolError: If a tool isn't installed.
            FileNotFoundError: If there is no such source.
            ValueError: If there are no sources, or the name of a file isn't plain.
        """
        for tool in (_COMPILER, _QEMU):
            _check_installed(tool)
        paths, folders = _resolve(sources, include)
        macros = [f"-D{name}={value}" for name, value in (defines or {}).items()]
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            _write(place / _FILES, files or {})
            search = [f"-I{each}" for each in folders]
            objects = self._compile(place, paths, [*macros, *search])
            self._link(place, objects.values())
            output, (_, status, instructions, stack, _, _, heap) = self._execute(place)
            if status:
                raise EmulatorError(f"The program ended with status {status}.", output)
            return EmulatorResult(
                output=output,
                instructions=instructions,
                stack_bytes=stack,
                heap_bytes=heap,
                program=_program_sizes(place / _PROGRAM),
                objects={name: _object_sizes(path) for name, path in objects.items()},
            )

    def _flags(self):
        # Fused multiplications would round other than on a PC.
        exact = ["-std=c11", "-ffp-contract=off"]
        sections = ["-ffunction-sections", "-fdata-sections"]
        return [
            *(f"-mcpu={self.cpu}", "-mthumb", *self._board.flags),
            *(self.optimize, "-g", *exact, *sections, "--specs=nano.specs", f"-I{_SUPPORT}"),
        ]

    def _compile(self, place, paths, flags):
        objects = {f"{path.parent.name}/{path.name}": path for path in paths}
        for number, (name, path) in enumerate(objects.items()):
            objects[name] = place / f"{number}.o"
            _call([_COMPILER, *self._flags(), *flags, "-c", path, "-o", objects[name]])
        return objects

    def _link(self, place, objects):
        inputs = [_SUPPORT / "swr_emulator.c", *objects, "-lm"]
        layout = [f"-L{_SUPPORT}", f"-T{_SUPPORT / self._board.layout}", "-nostartfiles"]
        stack = f"-Wl,--gc-sections,--defsym=swr_stack_bytes={self.stack_bytes}"
        _call([_COMPILER, *self._flags(), *layout, stack, *inputs, "-o", place / _PROGRAM])

    def _execute(self, place):
        machine = ["-M", self._board.machine, "-kernel", place / _PROGRAM]
        quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
        # Without sleep=off, the count depends on how long the host takes to print.
        counting = ["-icount", "shift=0,sleep=off"]
        semihosting = ["-semihosting-config", "enable=on,target=native"]
        try:
            done = subprocess.run(
                [_QEMU, *machine, *quiet, *counting, *semihosting],
                cwd=place / _FILES,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            raise EmulatorError(
                f"The program didn't end within {self.timeout_seconds} s. Give it more "
                "`timeout_seconds`, or look for a loop without end.",
                _read(place / _FILES / _OUTPUT),
            ) from None
        output, report = _read(place / _FILES / _OUTPUT), _read(place / _FILES / _REPORT)
        if len(report) != _REPORT_FORMAT.size:
            raise EmulatorError(f"QEMU ended early: {done.stderr.decode().strip()}", output)
        values = _REPORT_FORMAT.unpack(report)
        if values[0] != _ENDED:
            raise EmulatorError(self._fault(place, values), output)
        return output, values

    def _fault(self, place, values):
        _, status, _, _, counter, address, _ = values
        known = status & _ADDRESS_IS_VALID
        if known and _RAM_START - _BELOW_STACK <= address < _RAM_START:
            return (
                f"The program had a hard fault: its stack of {self.stack_bytes} bytes is full. "
                "Give more `stack_bytes`."
            )
        where = _call([_ADDRESSES, "-fs", "-e", place / _PROGRAM, hex(counter)]).split()
        what = f", at address {address:#x}" if known else ""
        return (
            f"The program had a hard fault in '{where[0]}' ({where[1]}){what}. "
            f"Fault status (CFSR): {status:#x}."
        )


def _check_installed(tool):
    if shutil.which(tool) is None:
        raise MissingToolError(f"'{tool}' isn't installed. Install it with: {_INSTALL}")


def _resolve(sources, include):
    paths, folders = [], [pathlib.Path(each).absolute() for each in include]
    for source in map(pathlib.Path, sources):
        if source.is_dir():
            folders.append(source.absolute())
            paths.extend(sorted(source.absolute().glob("*.c")))
        elif source.is_file():
            paths.append(source.absolute())
        else:
            raise FileNotFoundError(f"There is no source '{source}'.")
    if not paths:
        raise ValueError("A program needs sources. Received: none.")
    return paths, folders


def _write(folder, files):
    folder.mkdir()
    for name, data in files.items():
        if pathlib.PurePath(name).name != name or name in ("", "..", _OUTPUT, _REPORT):
            raise ValueError(f"Expected the plain name of a file. Received: {name!r}.")
        (folder / name).write_bytes(data)


def _read(path):
    return path.read_bytes() if path.exists() else b""


def _call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise EmulatorError(f"{command[0]} refuses the program:\n{done.stderr.strip()}")
    return done.stdout


def _object_sizes(path):
    values = _call([_SIZE, path]).splitlines()[1].split()
    return Sizes(*map(int, values[:3]))


def _program_sizes(path):
    lines = (line.split() for line in _call([_SIZE, "-A", path]).splitlines())
    sections = {words[0]: int(words[1]) for words in lines if words and words[0].startswith(".")}
    constants = sections[".text"] + sections.get(".ARM.exidx", 0)
    return Sizes(constants, sections[".data"], sections[".bss"])
