"""Int8 models of many tasks as C, with all that tasks share in flash once."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from swr_keras.device.bundle import Bundle, DeviceTask
from swr_keras.device.c_folders import C_FOLDERS
from swr_keras.device.plain_c.graph import read_graph
from swr_keras.device.plain_c.lowering import lower
from swr_keras.device.plain_c.plan import ARENA_UNIT
from swr_keras.device.plain_c.program import assign_programs, number_values
from swr_keras.device.plain_c.source import Sizes, TaskConstants, write_sources
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import as_object, parse, read_model
from swr_keras.export.lite_model import litert_interpreter
from swr_keras.files import write_atomically

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KERNELS = C_FOLDERS / "plain_c"
_MOST_ARENA_BYTES = ARENA_UNIT * 2**16


@dataclasses.dataclass(frozen=True)
class CSources:
    """C11 sources that compute tasks, complete in one folder.

    Attributes:
        name: Stem of the generated files, and what their symbols begin with.
        files: Text of each file by its name: the generated two, and the kernels.
        sizes: What the generated constants and the arena take.
        steps: How many steps each task has, by its name.
        shared_steps: How many of the first of them have the same numbers in all tasks of its
            architecture.
    """

    name: str
    files: Mapping[str, str] = dataclasses.field(repr=False)
    sizes: Sizes
    steps: Mapping[str, int]
    shared_steps: Mapping[str, int]

    def save(self, directory: str | os.PathLike) -> None:
        """Writes all files into a folder, made if needed, each whole or not at all."""
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            write_atomically(pathlib.Path(directory) / name, text.encode())


def to_c(
    tasks: Bundle | Mapping[str, DeviceTask], *, name: str = "swr", keep_trunk: bool = False
) -> CSources:
    """Writes int8 models as C, without a runtime, a heap, or memory but an arena of the caller's.

    The outputs are, bit for bit, those of TFLite Micro's reference kernels. Tasks whose models
    have the same operators, wired alike, are one list of steps over tables of numbers; equal
    numbers, of whichever tasks, are in the sources once.

    Compile all `.c` files of the folder; sections for each function (`-ffunction-sections` and
    the linker's `--gc-sections`) leave out kernels that no task needs.

    Args:
        tasks: The tasks, in the order of `<name>_tasks` in C.
        name: Stem of the files and of the C symbols, a C identifier.
        keep_trunk: Whether the steps that all tasks of one architecture share, from the input to
            where the first of them differs, can be computed once for all of them (`swr_trunk` and
            `swr_branch` in C); takes a larger arena, since their results stay.

    Returns:
        The sources.

    Raises:
        ExportError: If a model can't become C: names the operator and the value it writes.
        ImportError: If TFLite Micro's kernels aren't installed; they compute the tables of
            functions of one value, such as a sigmoid.
        ValueError: If there is no task, the name is no C identifier, or labels don't fit.

    Example:
        >>> sources = to_c(Bundle.load("tasks.bin"), name="words")
        >>> sources.save("firmware/words")
        >>> print(sources.sizes)
    """
    kernels = {path.name: path.read_text() for path in sorted(_KERNELS.glob("*.[ch]"))}
    _check_name(name, kernels)
    if isinstance(tasks, Bundle):
        bundle = tasks
        tasks = {
            each: DeviceTask(parse(bundle.model(each)), bundle.labels(each))
            for each in bundle.names
        }
    if not tasks:
        raise ValueError("There is no task to write. Received: an empty mapping.")
    graphs = {each: _named(each, lambda task: _graph(task.model), tasks[each]) for each in tasks}
    lowered = {
        each: number_values(graph, _named(each, lower, graph)) for each, graph in graphs.items()
    }
    for each, task in lowered.items():
        if not task.kernels:
            raise ExportError(f"Task '{each}': the model has no operator that computes.")
    programs, chosen = assign_programs(lowered, keep_trunk=keep_trunk)
    for program in programs:
        if program.plan.arena_bytes > _MOST_ARENA_BYTES:
            raise ExportError(
                f"The model needs an arena of {program.plan.arena_bytes:,} bytes, at most "
                f"{_MOST_ARENA_BYTES:,} can be addressed. Take a smaller model."
            )
    constants = {
        each: TaskConstants(
            lowered=lowered[each],
            program=chosen[each],
            labels=_labels(each, tasks[each], graphs[each]),
            ends=_ends(graphs[each]),
        )
        for each in tasks
    }
    header, source, sizes = write_sources(name, constants, programs)
    return CSources(
        name=name,
        files={f"{name}.h": header, f"{name}.c": source, **kernels},
        sizes=sizes,
        steps={each: len(lowered[each].kernels) for each in tasks},
        shared_steps={each: programs[chosen[each]].trunk for each in tasks},
    )


def _graph(model):
    data = read_model(model).data
    graph = read_graph(as_object(data))
    # What the file says of shapes is trusted no further than LiteRT computes the same.
    computed = litert_interpreter(data)[0].get_tensor_details()
    for tensor in (graph.input, *(each for of in graph.operators for each in of.outputs)):
        shape = tuple(int(size) for size in computed[tensor.number]["shape"])
        if tensor.shape != shape:
            raise ExportError(
                f"'{tensor.name}' is said to have the shape {tensor.shape}, but has {shape}. "
                "Export the model again."
            )
    return graph


def _named(name, function, argument):
    """Puts the name of the task before the message of an error."""
    try:
        return function(argument)
    except ExportError as error:
        raise ExportError(f"Task '{name}': {error}") from error


def _check_name(name, kernels):
    if not _IDENTIFIER.fullmatch(name) or f"{name}.h" in kernels:
        raise ValueError(
            "`name` must be a C identifier (ASCII letters, digits and '_', no digit first), and "
            f"none of {sorted(kernels)}. Received: name={name!r}."
        )


def _labels(name, task, graph):
    labels = tuple(task.labels)
    if labels and len(labels) != graph.output.size:
        raise ValueError(
            f"Task '{name}' has {graph.output.size} outputs. Received: {len(labels)} labels."
        )
    return labels


def _ends(graph):
    return {
        "input_count": graph.input.size,
        "output_count": graph.output.size,
        "input_scale": float(np.float32(graph.input.scale)),
        "output_scale": float(np.float32(graph.output.scale)),
        "input_zero_point": graph.input.zero_point,
        "output_zero_point": graph.output.zero_point,
    }
