"""What a program does, one kernel at a time."""

import dataclasses

from swr_keras.device.plain_c.constants import Struct
from swr_keras.device.plain_c.graph import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A call of a kernel.

    Attributes:
        kernel: Its name in C.
        operation: The numbers it reads.
        reads: Values of the graph it reads, at most two; constants are in `operation`.
        writes: The value it writes, or a part of it.
        scratch_bytes: Memory it needs meanwhile.
        in_place: Which of `reads` may lie where `writes` does, by index.
        in_place_bytes: More memory that it needs then.
    """

    kernel: str
    operation: Struct
    reads: tuple[Tensor, ...]
    writes: Tensor
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    in_place_bytes: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Alias:
    """A value that is another one, in another shape."""

    reads: Tensor
    writes: Tensor
