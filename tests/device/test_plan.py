"""The arena, on random programs: no value that is needed is overwritten."""

import numpy as np
import pytest

from swr_keras.device.plain_c.plan import ARENA_UNIT, Use, plan


def random_program(seed):
    """Steps that read up to two earlier values, some of them able to work in place."""
    random = np.random.default_rng(seed)
    sizes, uses = [int(random.integers(1, 300))], []
    for _ in range(random.integers(1, 25)):
        recent = range(max(0, len(sizes) - 5), len(sizes))
        reads = tuple(int(each) for each in random.choice(recent, random.integers(0, 3)))
        smallest = min([sizes[value] for value in reads], default=300)
        in_place = tuple(range(len(reads))) if random.random() < 0.7 else ()
        size = int(random.integers(1, smallest + 1) if in_place else random.integers(1, 300))
        again = uses and random.random() < 0.1
        writes = uses[-1].writes if again else len(sizes)
        if not again:
            sizes.append(size)
        scratch = int(random.choice([0, 40, 200]))
        uses.append(Use(reads, writes, scratch, () if again else in_place, 24))
    return uses, sizes


class Memory:
    """An arena whose every byte knows which value it holds."""

    def __init__(self, planned):
        self.planned = planned
        self.owners = np.full(planned.arena_bytes, -2)

    def write(self, value, offset, size):
        assert offset % ARENA_UNIT == 0
        assert offset + size <= len(self.owners)
        self.owners[offset : offset + size] = value

    def check(self, value, sizes):
        offset = self.planned.values[value]
        assert (self.owners[offset : offset + sizes[value]] == value).all()


def run(memory, uses, sizes, first, end):
    for number in range(first, end):
        use = uses[number]
        for value in use.reads:
            memory.check(value, sizes)
        offset = memory.planned.values[use.writes]
        others = [value for value in use.reads if value != use.writes]
        in_place = [value for value in others if memory.planned.values[value] == offset]
        scratch = use.scratch_bytes + (use.in_place_bytes if in_place else 0)
        memory.write(-1, memory.planned.scratch[number], scratch)
        for value in use.reads:
            memory.check(value, sizes)
        memory.write(use.writes, offset, sizes[use.writes])
        for value in set(others) - set(in_place):
            memory.check(value, sizes)
        scratch_owners = memory.owners[memory.planned.scratch[number] :][:scratch]
        assert (scratch_owners == -1).all()


@pytest.mark.parametrize("seed", range(300))
def test_values_stay_as_long_as_they_are_needed(seed):
    uses, sizes = random_program(seed)
    outputs = uses[-1].writes
    planned = plan(uses, sizes, inputs=0, outputs=outputs)
    memory = Memory(planned)
    memory.write(0, planned.values[0], sizes[0])
    run(memory, uses, sizes, 0, len(uses))
    memory.check(outputs, sizes)


@pytest.mark.parametrize("seed", range(100))
def test_what_is_kept_stays_for_many_branches(seed):
    uses, sizes = random_program(seed)
    keep = int(np.random.default_rng(seed).integers(0, len(uses) + 1))
    planned = plan(uses, sizes, inputs=0, outputs=uses[-1].writes, keep=keep)
    memory = Memory(planned)
    memory.write(0, planned.values[0], sizes[0])
    run(memory, uses, sizes, 0, keep)
    for _ in range(2):
        run(memory, uses, sizes, keep, len(uses))
        memory.check(uses[-1].writes, sizes)


def test_a_chain_in_place_takes_the_largest_value_alone():
    uses = [Use((number,), number + 1, 0, (0,), 0) for number in range(5)]
    assert plan(uses, [160] * 6, inputs=0, outputs=5).arena_bytes == 160
    apart = [Use((number,), number + 1, 0, (), 0) for number in range(5)]
    assert plan(apart, [160] * 6, inputs=0, outputs=5).arena_bytes == 320


def test_a_place_that_a_smaller_value_took_over_is_used_again():
    uses = [Use((0,), 1, 0, (0,), 0), Use((1,), 2, 0, (), 0)]
    assert plan(uses, [160, 64, 96], inputs=0, outputs=2).arena_bytes == 160
