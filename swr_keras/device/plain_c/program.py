"""Programs that tasks of one architecture share, and what each task brings to them."""

import dataclasses
from collections.abc import Mapping, Sequence

from swr_keras.device.plain_c.constants import Struct
from swr_keras.device.plain_c.graph import Graph
from swr_keras.device.plain_c.plan import Plan, Use, plan
from swr_keras.device.plain_c.steps import Alias, Step


@dataclasses.dataclass(frozen=True)
class Lowered:
    """The steps of a model with its values numbered as they appear, and their bytes."""

    kernels: tuple[str, ...]
    operations: tuple[Struct, ...]
    uses: tuple[Use, ...]
    sizes: tuple[int, ...]
    inputs: int
    outputs: int

    @property
    def wiring(self) -> tuple:
        """What is equal for models of one architecture: kernels, and which reads what."""
        ends = self.inputs, self.outputs, len(self.sizes)
        return (self.kernels, tuple((use.reads, use.writes) for use in self.uses), ends)


@dataclasses.dataclass(frozen=True)
class Program:
    """A list of kernels over an arena, for all tasks of one architecture.

    Attributes:
        kernels: Their names in C.
        uses: What each reads and writes.
        plan: Where that lies.
        inputs, outputs: The value that comes in, and the one that goes out.
        trunk: How many of the first steps have the same numbers in all tasks.
        keeps_trunk: Whether the others leave what they need of these as it is.
    """

    kernels: tuple[str, ...]
    uses: tuple[Use, ...]
    plan: Plan
    inputs: int
    outputs: int
    trunk: int
    keeps_trunk: bool


def number_values(graph: Graph, steps: Sequence[Step | Alias]) -> Lowered:
    """Returns steps without aliases, in which equal architectures have equal numbers."""
    roots: dict[int, int] = {}
    numbers: dict[int, int] = {}
    sizes: list[int] = []

    def number(tensor):
        root = roots.get(tensor.number, tensor.number)
        if root not in numbers:
            numbers[root] = len(sizes)
            sizes.append(tensor.size)
        return numbers[root]

    number(graph.input)
    uses, kept = [], []
    for step in steps:
        if isinstance(step, Alias):
            roots[step.writes.number] = roots.get(step.reads.number, step.reads.number)
            continue
        reads = tuple(number(tensor) for tensor in step.reads)
        use = Use(
            reads, number(step.writes), step.scratch_bytes, step.in_place, step.in_place_bytes
        )
        uses.append(use)
        kept.append(step)
    return Lowered(
        kernels=tuple(step.kernel for step in kept),
        operations=tuple(step.operation for step in kept),
        uses=tuple(uses),
        inputs=number(graph.input),
        outputs=number(graph.output),
        sizes=tuple(sizes),
    )


def assign_programs(
    lowered: Mapping[str, Lowered], *, keep_trunk: bool
) -> tuple[list[Program], dict[str, int]]:
    """Returns the programs that tasks need, and which one each task runs."""
    groups: dict[tuple, list[str]] = {}
    for name, task in lowered.items():
        groups.setdefault(task.wiring, []).append(name)
    programs = [
        _program([lowered[name] for name in names], keep_trunk) for names in groups.values()
    ]
    return programs, {name: i for i, names in enumerate(groups.values()) for name in names}


def _program(tasks: Sequence[Lowered], keep_trunk: bool) -> Program:
    first = tasks[0]
    uses = tuple(
        dataclasses.replace(
            each[0],
            scratch_bytes=max(use.scratch_bytes for use in each),
            in_place=tuple(i for i in each[0].in_place if all(i in use.in_place for use in each)),
            in_place_bytes=max(use.in_place_bytes for use in each),
        )
        for each in zip(*(task.uses for task in tasks), strict=True)
    )
    sizes = [max(each) for each in zip(*(task.sizes for task in tasks), strict=True)]
    trunk = _shared_steps(tasks)
    placed = plan(
        uses,
        sizes,
        inputs=first.inputs,
        outputs=first.outputs,
        keep=trunk if keep_trunk else None,
    )
    return Program(
        first.kernels, uses, placed, first.inputs, first.outputs, trunk, keeps_trunk=keep_trunk
    )


def _shared_steps(tasks):
    count = 0
    for operations in zip(*(task.operations for task in tasks), strict=True):
        if any(operation != operations[0] for operation in operations):
            break
        count += 1
    return count
