"""Where the values of a program lie in one arena."""

import dataclasses
from collections.abc import Sequence

ARENA_UNIT = 16
"""What offsets are multiples of, in bytes: SWR_ARENA_UNIT."""


@dataclasses.dataclass(frozen=True)
class Use:
    """What a step reads and writes, by the numbers of values.

    Attributes:
        reads, writes: The values.
        scratch_bytes: Memory it needs meanwhile.
        in_place: Which of `reads` may lie where `writes` does, by index.
        in_place_bytes: More memory that it needs then.
    """

    reads: tuple[int, ...]
    writes: int
    scratch_bytes: int
    in_place: tuple[int, ...]
    in_place_bytes: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Offsets in bytes.

    Attributes:
        values: Of each value.
        scratch: Of each step's scratch, 0 without one.
        arena_bytes: Of the whole.
    """

    values: tuple[int, ...]
    scratch: tuple[int, ...]
    arena_bytes: int


@dataclasses.dataclass
class _Life:
    """When a value, or the scratch of a step, needs how many bytes."""

    size: int
    first: int
    last: int

    def meets(self, other):
        return self.first <= other.last and other.first <= self.last


@dataclasses.dataclass(eq=False)
class _Block:
    """A place that values have in turn."""

    lives: list[_Life]
    offset: int = 0

    @property
    def size(self):
        return max(life.size for life in self.lives)

    def end_of_overlap(self, other):
        """Returns where the bytes of the other block end that overlap at any time, or `None`."""
        ends = [
            other.offset + theirs.size
            for mine in self.lives
            for theirs in other.lives
            if mine.meets(theirs)
            and other.offset < self.offset + mine.size
            and self.offset < other.offset + theirs.size
        ]
        return max(ends, default=None)


def plan(
    uses: Sequence[Use],
    sizes: Sequence[int],
    *,
    inputs: int,
    outputs: int,
    keep: int | None = None,
) -> Plan:
    """Places values so that those needed at once don't overlap.

    Args:
        uses: What each step reads and writes, in order.
        sizes: Bytes of each value.
        inputs: The value that is there before the first step.
        outputs: The one that stays after the last.
        keep: A number of steps after which the others can be done again and again: they leave
            what they need of those before as it is.
    """
    lives = _lives(uses, sizes, inputs, outputs)
    if keep is not None:
        for life in lives:
            if life.first < keep <= life.last:
                life.last = len(uses)
    blocks = [_Block([life]) for life in lives]
    scratch = []
    for number, use in enumerate(uses):
        needed = use.scratch_bytes
        taken = _taken_over(number, use, lives)
        if taken is not None:
            blocks[taken].lives.append(lives[use.writes])
            blocks[use.writes] = blocks[taken]
            needed += use.in_place_bytes
        scratch.append(_Block([_Life(needed, number, number)]))
    everything = [*dict.fromkeys(blocks), *(block for block in scratch if block.size)]
    _place(everything, min(_ORDERS, key=lambda order: _place(everything, order)))
    return Plan(
        values=tuple(block.offset for block in blocks),
        scratch=tuple(block.offset for block in scratch),
        arena_bytes=_end(everything),
    )


def _lives(uses, sizes, inputs, outputs):
    lives = [_Life(size, len(uses), -1) for size in sizes]
    lives[inputs].first = -1
    lives[outputs].last = len(uses)
    for number, use in enumerate(uses):
        for value in (*use.reads, use.writes):
            lives[value].first = min(lives[value].first, number)
            lives[value].last = max(lives[value].last, number)
    return lives


def _taken_over(number, use, lives):
    """Returns a value that nothing needs after this step, whose place the output can take."""
    written = lives[use.writes]
    for index in use.in_place:
        read = lives[use.reads[index]]
        if read.last == number == written.first and written.size <= read.size:
            return use.reads[index]
    return None


def _largest_first(block):
    return -block.size


def _earliest_first(block):
    return min(life.first for life in block.lives), -block.size


_ORDERS = (_largest_first, _earliest_first)  # Neither is better for all networks.


def _place(blocks, order):
    """Places blocks one by one, each as low as it can lie; returns the bytes of all."""
    placed: list[_Block] = []
    for block in sorted(blocks, key=order):
        block.offset = 0
        while ends := [end for other in placed if (end := block.end_of_overlap(other)) is not None]:
            block.offset = _aligned(min(ends))
        placed.append(block)
    return _end(blocks)


def _end(blocks):
    return _aligned(max(block.offset + block.size for block in blocks))


def _aligned(count):
    return -(-count // ARENA_UNIT) * ARENA_UNIT
