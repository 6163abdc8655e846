"""One blob of many tasks, in which all that they share lies once."""

import dataclasses
import math
import os
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from swr_keras.device.bundle_table import (
    NAME_BYTES,
    SLOT_BYTES,
    Entry,
    Segment,
    Table,
    find_table,
    table_bytes,
)
from swr_keras.device.patch import Patch, checksum
from swr_keras.device.slim import ordinary, slim
from swr_keras.export.errors import ExportError
from swr_keras.export.flatbuffer import as_object, parse, read_model
from swr_keras.export.flatbuffer_nodes import (
    HEADER,
    NOWHERE,
    Node,
    Placed,
    Recorder,
    lay_out,
    locate,
    reachable,
    to_file,
    with_header,
)
from swr_keras.export.probe import check_foreign
from swr_keras.files import read_bytes, write_atomically

_ALIGNMENT = 16
_ERASED = b"\xff"  # What erased flash holds.


@dataclasses.dataclass(frozen=True)
class DeviceTask:
    """A task as a device has it.

    Attributes:
        model: Its int8 model: what `convert_int8` returned, or the contents or path of a file.
        labels: Names of its classes, or none.
    """

    model: Any
    labels: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Bundle:
    """One blob that has a complete TFLite model for each task, with equal parts stored once.

    A device has the image in flash, aligned to 16 bytes, and gives TFLite Micro the address of a
    task's model, `tflite::GetModel(image + root)`. The image begins with the table of its tasks,
    see `bundle_table`; what they need lies at its end, and what is added later goes below that,
    since a FlatBuffer refers to what lies behind alone.

    Attributes:
        image: The bytes.
        table: What the table says.
    """

    image: bytes = dataclasses.field(repr=False)
    table: Table

    @classmethod
    def build(
        cls,
        tasks: Mapping[str, DeviceTask],
        *,
        image_bytes: int | None = None,
        slot_bytes: int = 4096,
    ) -> "Bundle":
        """Puts tasks into one image.

        Args:
            tasks: The tasks by name, of up to 32 bytes of UTF-8.
            image_bytes: Bytes of the image, for tasks to be added later; `None` for as many as
                these tasks need, with no room for others.
            slot_bytes: Bytes of each of the two slots of the table, where tasks can be added, a
                power of two: what the flash erases at once, or more.

        Raises:
            ExportError: If a model is none or of several graphs.
            ValueError: If a name or labels can't be stored, there aren't as many labels as
                outputs, or the image is too small.
        """
        if not tasks:
            raise ValueError("A bundle has at least one task. Received: none.")
        recorder = Recorder()
        roots = {name: recorder.record(_slim(name, task)) for name, task in tasks.items()}
        users = Counter(node for root in roots.values() for node in reachable(root))
        shared = {node for node, count in users.items() if count > 1}
        pieces = []
        below, known = 0, NOWHERE
        if shared:
            pieces.append(_Piece.of_nodes(shared))
            below, known = pieces[0].start, pieces[0].placed
        for name, task in tasks.items():
            pieces.append(_Piece.of_task(roots[name], name, task.labels, below, known))
            below = pieces[-1].start
        slots = 2
        if image_bytes is None:
            slots, slot_bytes = 1, aligned(table_bytes(len(pieces), len(tasks)))
            image_bytes = slot_bytes - below
        if image_bytes % _ALIGNMENT or (slots > 1 and slot_bytes not in SLOT_BYTES):
            raise ValueError(
                f"`image_bytes` must be a multiple of {_ALIGNMENT}, and `slot_bytes` one of "
                f"{SLOT_BYTES}. Received: {image_bytes} and {slot_bytes}."
            )
        if image_bytes < slots * slot_bytes - below:
            raise ValueError(
                f"The tasks take {-below} bytes, and their table {slots * slot_bytes}. Received: "
                f"image_bytes={image_bytes}."
            )
        first = len(pieces) - len(tasks)
        table = Table(
            slots=slots,
            slot_bytes=slot_bytes,
            image_bytes=image_bytes,
            sequence=0,
            segments=tuple(piece.segment(image_bytes) for piece in pieces),
            tasks=tuple(
                piece.entry(name, image_bytes, {number, *range(first)})
                for number, (name, piece) in enumerate(
                    zip(tasks, pieces[first:], strict=True), first
                )
            ),
        )
        data = b"".join(piece.data for piece in reversed(pieces))
        image = table.pack().ljust(image_bytes - len(data), _ERASED) + data
        return cls(image, table)

    @classmethod
    def from_bytes(cls, image: bytes) -> "Bundle":
        """Reads an image of anywhere: each of its models is run once in a process of its own.

        A task of which bytes are damaged is refused when it is asked for, see `broken`.

        Raises:
            ExportError: If there is no table that is whole, or a model can't be run.
        """
        bundle = cls(bytes(image), find_table(bytes(image)))
        for name in bundle.names:
            if name not in bundle.broken:
                check_foreign(bundle.model(name))
        return bundle

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Bundle":
        """Reads a file, as `from_bytes`."""
        return cls.from_bytes(read_bytes(path, kind="a bundle"))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the image, whole or not at all."""
        write_atomically(path, self.image)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.name for task in self.table.tasks)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the tasks that need bytes which are damaged."""
        return tuple(task.name for task in self.table.tasks if not self._is_whole(task))

    def _is_whole(self, task):
        segments = self.table.segments
        return all(segments[number].is_whole(self.image) for number in task.needs)

    def _entry(self, name):
        for task in self.table.tasks:
            if task.name == name:
                if not self._is_whole(task):
                    raise ExportError(f"Task '{name}' is damaged. Build or write the bundle again.")
                return task
        raise KeyError(f"No task '{name}' in this bundle. It has {list(self.names)}.")

    def model(self, name: str) -> bytes:
        """Returns the bytes from a task's model on, which load as a `.tflite` file.

        Raises:
            ExportError: If the task is damaged.
            KeyError: If there is no such task.
        """
        return self.image[self._entry(name).root :]

    def labels(self, name: str) -> tuple[str, ...]:
        """Returns the names of a task's classes; errors as for `model`."""
        return _read_labels(self.image, self._entry(name).labels)

    def extract(self, name: str) -> bytes:
        """Returns a task as an ordinary `.tflite` file; errors as for `model`."""
        return to_file(ordinary(as_object(self.model(name))))

    def add(self, name: str, task: DeviceTask) -> Patch:
        """Returns what adds a task, and changes nothing that others need.

        Raises:
            ExportError: If the model is none or of several graphs.
            ValueError: If the name is taken, labels don't fit, or there is no room.
        """
        if name in self.names:
            raise ValueError(f"The bundle has a task '{name}' already. Replace it, or remove it.")
        self._check_slots()
        return self._patch(self.table.tasks, name, task)

    def _check_slots(self):
        if self.table.slots == 1:
            raise ValueError(
                "Nothing can be added to this bundle, or removed, since it was built without room. "
                "Take it `rebuilt` with `image_bytes`."
            )

    def replace(self, name: str, task: DeviceTask) -> Patch:
        """Returns what puts another model in the place of a task's; errors as for `add`.

        The place of the old one is free again once the bundle is `rebuilt`.
        """
        return self._patch(self._others(name), name, task)

    def remove(self, name: str) -> Patch:
        """Returns what removes a task, whose place is free again once the bundle is `rebuilt`.

        Raises:
            KeyError: If there is no such task.
            ValueError: If it is the last one, or nothing can be changed.
        """
        others = self._others(name)
        if not others:
            raise ValueError(f"'{name}' is the only task of the bundle.")
        return self._table_patch(tasks=others)

    def _others(self, name):
        self._check_slots()
        if name not in self.names:
            raise KeyError(f"No task '{name}' in this bundle. It has {list(self.names)}.")
        return tuple(task for task in self.table.tasks if task.name != name)

    def _patch(self, others, name, task):
        recorder = Recorder()
        known = NOWHERE
        for other in (each for each in others if self._is_whole(each)):
            known |= self._located(recorder, other)
        root = recorder.record(_slim(name, task))
        nodes = reachable(root)
        below = self.table.segments[-1].offset
        piece = _Piece.of_task(root, name, task.labels, below, known)
        free = below - self.table.slots * self.table.slot_bytes
        if len(piece.data) > free:
            raise ValueError(
                f"Task '{name}' takes {len(piece.data)} bytes of its own, {free} are free. Take "
                "the bundle `rebuilt` with larger `image_bytes`, or remove a task first."
            )
        used = [known.nodes[node] for node in nodes if node in known.nodes]
        used += [known.vtables[node.vtable] for node in nodes if node.vtable in known.vtables]
        needs = {
            number
            for number, segment in enumerate(self.table.segments)
            if any(segment.offset <= place < segment.offset + segment.length for place in used)
        }
        entry = piece.entry(name, 0, {len(self.table.segments), *needs})
        return self._table_patch(
            (piece.start, piece.data),
            tasks=(*others, entry),
            segments=(*self.table.segments, piece.segment(0)),
        )

    def _table_patch(self, *writes, **changes):
        table = dataclasses.replace(self.table, sequence=self.table.sequence + 1, **changes)
        writes = (*writes, (table.place, table.pack()))
        return Patch(self.table.image_bytes, checksum(self.table), writes)

    def patched(self, patch: Patch) -> "Bundle":
        """Returns the bundle after a patch.

        Raises:
            ExportError: If the patch was made for another bundle.
        """
        image = patch.apply(self.image)
        return Bundle(image, find_table(image))

    def rebuilt(self, *, image_bytes: int | None = None, slot_bytes: int = 4096) -> "Bundle":
        """Returns a bundle of the same tasks without the places of removed ones; as `build`."""
        return Bundle.build(
            {name: DeviceTask(parse(self.model(name)), self.labels(name)) for name in self.names},
            image_bytes=image_bytes,
            slot_bytes=slot_bytes,
        )

    @property
    def own_bytes(self) -> dict[str, int]:
        """The bytes that each task needs and no other one, the table aside."""
        users, needed = np.zeros(len(self.image), int), {}
        for task in self.table.tasks:
            labels = label_bytes(task.name, _read_labels(self.image, task.labels))
            extents = [
                *self._located(Recorder(), task).extents(),
                (task.root, task.root + HEADER.size),
                (task.labels, task.labels + len(labels)),
            ]
            needed[task.name] = np.zeros(len(self.image), bool)
            for start, end in extents:
                needed[task.name][start:end] = True
            users += needed[task.name]
        return {name: int((marked & (users == 1)).sum()) for name, marked in needed.items()}

    def __str__(self) -> str:
        own = self.own_bytes
        table = self.table.slots * self.table.slot_bytes
        lowest = self.table.segments[-1].offset
        rows = {
            "table": table,
            "free": lowest - table,
            **own,
            "shared": len(self.image) - lowest - sum(own.values()),
            "image": len(self.image),
        }
        return "\n".join(f"{name:<32}  {count:>9,}" for name, count in rows.items())

    def _located(self, recorder, task):
        root = recorder.record(as_object(self.image[task.root :]))
        return locate(root, self.image, task.root + HEADER.unpack_from(self.image, task.root)[0])


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What is written at once; positions count from where those count that it was given."""

    start: int
    data: bytes
    placed: Placed
    labels: int

    @classmethod
    def of_nodes(cls, nodes):
        """What tasks share, at the end of the image."""
        start, data, placed = lay_out(nodes, 0, NOWHERE)
        room = start % _ALIGNMENT
        return cls(start - room, bytes(room) + data, placed, labels=0)

    @classmethod
    def of_task(cls, root: Node, name: str, labels: Sequence[str], end: int, known: Placed):
        """The model of a task that begins with the header of a file, and its labels behind it."""
        text = label_bytes(name, labels)
        own = [node for node in reachable(root) if node not in known.nodes]
        start, data, placed = lay_out(own, end - len(text), known)
        whole = with_header(root, start, data, known | placed) + text
        return cls(end - len(whole), whole, placed, end - len(text))

    def segment(self, shift: int) -> Segment:
        return Segment(self.start + shift, len(self.data), zlib.crc32(self.data))

    def entry(self, name: str, shift: int, needs: Collection[int]) -> Entry:
        return Entry(name, self.start + shift, self.labels + shift, frozenset(needs))


def _slim(name, task):
    contents = read_model(task.model)
    classes = math.prod(contents.outputs[0].shape)
    if task.labels and len(task.labels) != classes:
        raise ValueError(
            f"Task '{name}' has {classes} outputs. Received: {len(task.labels)} labels, "
            f"{list(task.labels)}."
        )
    return slim(contents.data)


def label_bytes(name: str, labels: Sequence[str]) -> bytes:
    """Returns a task's labels as an image has them.

    Raises:
        ValueError: If the name or a label can't be stored.
    """
    if not 0 < len(name.encode()) <= NAME_BYTES or "\0" in name:
        raise ValueError(
            f"The name of a task has 1 to {NAME_BYTES} bytes of UTF-8. Received: {name!r}."
        )
    if any(not label or "\0" in label for label in labels):
        raise ValueError(
            f"The labels of a task are texts that aren't empty. Received: {list(labels)}."
        )
    return "".join(f"{label}\0" for label in labels).encode() + b"\0"


def _read_labels(image, start):
    text, end, _ = (image[start:] if image[start] else b"\0\0").partition(b"\0\0")
    if not end:
        raise ExportError("The labels of a task have no end. Build the bundle again.")
    return tuple(text.decode().split("\0")) if text else ()


def aligned(count: int) -> int:
    """Rounds up to the alignment of images."""
    return -(-count // _ALIGNMENT) * _ALIGNMENT
