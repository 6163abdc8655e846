"""The table of a bundle: which tasks it has, where they lie, and whether they are whole.

A device looks for its tasks here. The table is written to one of two slots in turn, so that a write
that is cut short leaves the other one as it was; the slot with the highest sequence number whose
checksum is right is the one that holds. All numbers are little-endian:

    magic "SWRB", u16 version, u16 number of slots, u32 bytes a slot, u32 bytes of the image,
    u32 sequence, u16 number of segments, u16 number of tasks,
    a segment: u32 offset, u32 bytes, u32 CRC-32,
    a task: its name in 32 bytes of UTF-8 (padded by zeros), u32 offset of its model, u32 offset of
    its labels (each ended by a zero, the last one by two), 32 bytes of a bit for each segment that
    it needs, the lowest bit of the first byte for the first one,
    u32 CRC-32 of all before
"""

import dataclasses
import struct
import zlib
from collections.abc import Sequence

from swr_keras.export.errors import ExportError

NAME_BYTES = 32
MOST_SEGMENTS = 256
SLOT_BYTES = [2**power for power in range(6, 19)]

_MAGIC = b"SWRB"
_VERSION = 1
_HEADER = struct.Struct("<4sHHIIIHH")
_SEGMENT = struct.Struct("<III")
_TASK = struct.Struct(f"<{NAME_BYTES}sII{MOST_SEGMENTS // 8}s")
_CHECKSUM = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Segment:
    """Bytes that were written at once: those that tasks share, or those of one task.

    Attributes:
        offset: Where they begin in the image.
        length: Their number.
        checksum: Their CRC-32.
    """

    offset: int
    length: int
    checksum: int

    def is_whole(self, image: bytes) -> bool:
        """Returns whether an image has these bytes."""
        return zlib.crc32(image[self.offset : self.offset + self.length]) == self.checksum


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task in the table.

    Attributes:
        name: Its name.
        root: Where its model begins in the image.
        labels: Where its labels begin.
        needs: Numbers of the segments that it needs.
    """

    name: str
    root: int
    labels: int
    needs: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Table:
    """What a slot holds.

    Attributes:
        slots: Number of slots, 1 where nothing can be added.
        slot_bytes: Bytes of each.
        image_bytes: Bytes of the image.
        sequence: Number of the write; it goes to the slot `sequence % slots`.
        segments: The segments, from the end of the image on.
        tasks: The tasks.
    """

    slots: int
    slot_bytes: int
    image_bytes: int
    sequence: int
    segments: tuple[Segment, ...]
    tasks: tuple[Entry, ...]

    def pack(self) -> bytes:
        """Returns its bytes.

        Raises:
            ExportError: If it doesn't fit a slot.
        """
        data = _HEADER.pack(
            *(_MAGIC, _VERSION, self.slots, self.slot_bytes, self.image_bytes, self.sequence),
            *(len(self.segments), len(self.tasks)),
        )
        for segment in self.segments:
            data += _SEGMENT.pack(segment.offset, segment.length, segment.checksum)
        for task in self.tasks:
            bits = sum(1 << number for number in task.needs)
            needs = bits.to_bytes(MOST_SEGMENTS // 8, "little")
            data += _TASK.pack(task.name.encode(), task.root, task.labels, needs)
        data += _CHECKSUM.pack(zlib.crc32(data))
        if len(data) > self.slot_bytes or len(self.segments) > MOST_SEGMENTS:
            raise ExportError(
                f"The table of {len(self.tasks)} tasks in {len(self.segments)} pieces takes "
                f"{len(data)} bytes of the {self.slot_bytes} of a slot, and may have "
                f"{MOST_SEGMENTS} pieces. Build the bundle anew, with larger slots."
            )
        return data

    @property
    def place(self) -> int:
        """Where it goes in the image."""
        return self.sequence % self.slots * self.slot_bytes


def table_bytes(segments: int, tasks: int) -> int:
    """Returns the bytes that a table of so many segments and tasks takes."""
    return _HEADER.size + segments * _SEGMENT.size + tasks * _TASK.size + _CHECKSUM.size


def find_table(image: bytes) -> Table:
    """Returns the table that holds.

    Raises:
        ExportError: If no slot has a table that is whole and makes sense.
    """
    problems = []
    found = []
    for place in [0, *SLOT_BYTES]:
        if image[place : place + len(_MAGIC)] == _MAGIC:
            try:
                found.append(_unpack(image, place))
            except ExportError as error:
                problems.append(str(error))
    if not found:
        raise ExportError(
            f"Expected a bundle. Received: {len(image)} bytes without a table that is whole"
            f"{''.join(f'; {problem}' for problem in problems)}. Build it again."
        )
    return max(found, key=lambda table: table.sequence)


def _unpack(image, place):
    data = image[place:]
    try:
        _, version, slots, slot_bytes, image_bytes, sequence, segments, tasks = _HEADER.unpack_from(
            data
        )
        if version != _VERSION:
            raise ExportError(f"its table is of version {version}, this package reads {_VERSION}")
        end = table_bytes(segments, tasks) - _CHECKSUM.size
        if zlib.crc32(data[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
            raise ExportError("a table's checksum is wrong")
        at = _HEADER.size
        listed = tuple(
            Segment(*_SEGMENT.unpack_from(data, at + _SEGMENT.size * number))
            for number in range(segments)
        )
        at += _SEGMENT.size * segments
        entries = tuple(_entry(data, at + _TASK.size * number) for number in range(tasks))
    except (struct.error, UnicodeDecodeError) as error:
        raise ExportError(f"a table is cut short or damaged ({error})") from error
    table = Table(slots, slot_bytes, image_bytes, sequence, listed, entries)
    _check(table, image, place, end)
    return table


def _entry(data, at):
    name, root, labels, needs = _TASK.unpack_from(data, at)
    bits = int.from_bytes(needs, "little")
    numbers = frozenset(number for number in range(MOST_SEGMENTS) if bits >> number & 1)
    return Entry(name.rstrip(b"\0").decode(), root, labels, numbers)


def _check(table, image, place, end):
    """Raises for a table whose parts can't be where it says."""
    if table.slots not in (1, 2) or table.place != place or end > table.slot_bytes:
        raise ExportError("a table isn't where it says")
    if table.image_bytes != len(image):
        raise ExportError(f"a table says that the image has {table.image_bytes} bytes")
    behind = len(image)
    for segment in table.segments:
        if segment.offset + segment.length > behind or segment.offset < _tables_end(table):
            raise ExportError("pieces lie outside of the image or over each other")
        behind = segment.offset
    for task in table.tasks:
        pieces = [table.segments[number] for number in task.needs if number < len(table.segments)]
        if len(pieces) < len(task.needs) or not all(
            _inside(offset, pieces) for offset in (task.root, task.labels)
        ):
            raise ExportError(f"task {task.name!r} lies outside of what it needs")
    if len({task.name for task in table.tasks}) < len(table.tasks):
        raise ExportError("two tasks have one name")


def _tables_end(table):
    return table.slots * table.slot_bytes


def _inside(offset: int, pieces: Sequence[Segment]) -> bool:
    return any(piece.offset <= offset < piece.offset + piece.length for piece in pieces)
