"""FlatBuffers as nodes: equal tables and vectors are one node, of whichever model they are part."""

import dataclasses
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_FORMATS = {
    "Bool": "?",
    "Int8": "b",
    "Uint8": "B",
    "Int16": "h",
    "Uint16": "H",
    "Int32": "i",
    "Uint32": "I",
    "Int64": "q",
    "Uint64": "Q",
    "Float32": "f",
    "Float64": "d",
}
HEADER = struct.Struct("<I4s")
"""Where the root of a file lies, and what kind of file it is."""

_IDENTIFIER = b"TFL3"
_REFERENCE = "reference"
_DATA_ALIGNMENT = 16  # What TFLite's schema asks for the data of buffers.


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Node:
    """A table, vector or string of a FlatBuffer, apart from where it lies.

    Attributes:
        number: Its number in the order of recording; what it refers to has smaller ones.
        raw: Its bytes, zeros where references go and where a table says how far its vtable is.
        references: The nodes it refers to, each by its slot in the vtable or index in the vector.
        alignment: What the position behind `prefix` is a multiple of.
        prefix: Bytes ahead of what is aligned: 4 for the length of a vector.
        vtable: Where a table's fields are; empty for others.
    """

    number: int
    raw: bytes
    references: tuple[tuple[int, "Node"], ...]
    alignment: int
    prefix: int
    vtable: bytes

    def reference_at(self, key: int, vtable: bytes) -> int:
        """Returns where in the node a reference is, given the vtable of the node as it lies."""
        if not self.vtable:
            return 4 + 4 * key
        return int.from_bytes(vtable[4 + 2 * key : 6 + 2 * key], "little")


class Recorder:
    """Turns models into nodes: it stands in for the `flatbuffers.Builder` that they pack into.

    The schema's generated `Pack` methods call a builder for each field. This one keeps what it is
    told instead of writing it, and gives the same node for what is equal.
    """

    def __init__(self):
        self.nodes: list[Node] = []
        self._known: dict[Any, Node] = {}
        self._open: list[Any] = []

    def record(self, model: Any) -> Node:
        """Returns the root of an object of the schema's object API, such as a `ModelT`."""
        return self._node(model.Pack(self))

    def _node(self, handle):
        return self.nodes[handle - 1]

    def _intern(self, raw, references=(), alignment=4, prefix=0, vtable=b""):
        """Returns the handle of a node; 0 means none to the generated code."""
        key = (raw, tuple((at, node.number) for at, node in references), alignment, vtable)
        if key not in self._known:
            node = Node(len(self.nodes), raw, tuple(references), alignment, prefix, vtable)
            self._known[key] = node
            self.nodes.append(node)
        return self._known[key].number + 1

    def _vector(self, data, count, width):
        alignment = _DATA_ALIGNMENT if width == 1 else max(width, 4)
        return self._intern(struct.pack("<I", count) + data, (), alignment, prefix=4)

    def StartObject(self, _):
        self._open.append({})

    def EndObject(self):
        fields = self._open.pop()
        place, alignment, places = 4, 4, {}
        for slot, (form, _) in sorted(fields.items(), key=lambda item: -_width(item[1][0])):
            width = _width(form)
            place = -(-place // width) * width
            places[slot] = place
            alignment = max(alignment, width)
            place += width
        raw = bytearray(place)
        for slot, (form, value) in fields.items():
            if form != _REFERENCE:
                struct.pack_into(f"<{form}", raw, places[slot], value)
        slots = range(max(places, default=-1) + 1)
        vtable = struct.pack("<HH", 4 + 2 * len(slots), place)
        vtable += b"".join(struct.pack("<H", places.get(slot, 0)) for slot in slots)
        references = tuple(
            (slot, self._node(value))
            for slot, (form, value) in sorted(fields.items())
            if form == _REFERENCE
        )
        return self._intern(bytes(raw), references, alignment, vtable=vtable)

    def StartVector(self, width, count, alignment):
        self._open.append((width, []))

    def EndVector(self):
        width, items = self._open.pop()
        values = [value for _, value in reversed(items)]
        if items and items[0][0] == _REFERENCE:
            raw = struct.pack("<I", len(items)) + bytes(4 * len(items))
            return self._intern(raw, tuple(enumerate(map(self._node, values))))
        data = struct.pack(f"<{len(items)}{items[0][0]}", *values) if items else b""
        return self._vector(data, len(items), width)

    def CreateNumpyVector(self, values):
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return self._vector(little.tobytes(), little.size, little.itemsize)

    def CreateString(self, text):
        data = text.encode() if isinstance(text, str) else bytes(text)
        return self._intern(struct.pack("<I", len(data)) + data + b"\0")

    def PrependUOffsetTRelative(self, handle):
        self._open[-1][1].append((_REFERENCE, handle))

    def PrependUOffsetTRelativeSlot(self, slot, handle, _):
        if handle:
            self._open[-1][slot] = _REFERENCE, handle


def _add_scalar_methods():
    def methods(form):
        def prepend(self, value):
            self._open[-1][1].append((form, value))

        def prepend_slot(self, slot, value, default):
            if value != default:
                self._open[-1][slot] = form, value

        return prepend, prepend_slot

    for name, form in _FORMATS.items():
        prepend, prepend_slot = methods(form)
        setattr(Recorder, f"Prepend{name}", prepend)
        setattr(Recorder, f"Prepend{name}Slot", prepend_slot)


_add_scalar_methods()


def to_file(model: Any) -> bytes:
    """Returns the contents of a `.tflite` file, of an object of the schema's object API."""
    root = Recorder().record(model)
    return with_header(root, *lay_out(reachable(root), 0, NOWHERE))


def with_header(root: "Node", start: int, data: bytes, placed: "Placed") -> bytes:
    """Puts the header of a `.tflite` file before what `lay_out` gives, aligned to 16 bytes."""
    first = start - HEADER.size
    first -= first % _DATA_ALIGNMENT
    header = HEADER.pack(placed.nodes[root] - first, _IDENTIFIER)
    return header.ljust(start - first, b"\0") + data


def _width(form):
    return 4 if form == _REFERENCE else struct.calcsize(f"<{form}")


def reachable(root: Node) -> set[Node]:
    """Returns a node and all that it refers to."""
    found, left = {root}, [root]
    while left:
        for _, node in left.pop().references:
            if node not in found:
                found.add(node)
                left.append(node)
    return found


@dataclasses.dataclass(frozen=True)
class Placed:
    """Where nodes and vtables lie, in bytes from the start of an image."""

    nodes: Mapping[Node, int]
    vtables: Mapping[bytes, int]

    def extents(self) -> Iterator[tuple[int, int]]:
        """Yields first and last position + 1 of each."""
        for node, position in self.nodes.items():
            yield position, position + len(node.raw)
        for vtable, position in self.vtables.items():
            yield position, position + len(vtable)

    def __or__(self, other: "Placed") -> "Placed":
        return Placed({**self.nodes, **other.nodes}, {**self.vtables, **other.vtables})


NOWHERE = Placed({}, {})


def locate(root: Node, image: bytes, position: int) -> Placed:
    """Finds where the nodes of a model lie in an image.

    Args:
        root: The model's root, recorded from the image itself.
        image: The image.
        position: Where the root's table lies.
    """
    nodes, vtables = {root: position}, {}
    left = [root]
    while left:
        node = left.pop()
        at = nodes[node]
        vtable = b""
        if node.vtable:
            place = at - int.from_bytes(image[at : at + 4], "little", signed=True)
            vtable = image[place : place + int.from_bytes(image[place : place + 2], "little")]
            vtables[vtable] = place
        for key, other in node.references:
            if other not in nodes:
                field = at + node.reference_at(key, vtable)
                nodes[other] = field + int.from_bytes(image[field : field + 4], "little")
                left.append(other)
    return Placed(nodes, vtables)


def lay_out(nodes: Iterable[Node], end: int, known: Placed) -> tuple[int, bytes, Placed]:
    """Writes nodes so that they end at a position, those that others refer to behind these.

    Args:
        nodes: What to write; what they refer to is among them or known.
        end: The position behind the last byte.
        known: What lies behind `end` already.

    Returns:
        The position of the first byte, the bytes, and where what was written lies.
    """
    pieces: list[tuple[int, bytes]] = []
    positions, vtables = dict(known.nodes), dict(known.vtables)
    new_nodes, new_vtables = {}, {}
    cursor = end
    for node in sorted(nodes, key=lambda node: node.number):
        cursor -= len(node.raw)
        cursor -= (cursor + node.prefix) % node.alignment
        positions[node] = new_nodes[node] = cursor
        raw = bytearray(node.raw)
        for key, other in node.references:
            field = node.reference_at(key, node.vtable)
            struct.pack_into("<I", raw, field, positions[other] - cursor - field)
        position = cursor
        if node.vtable:
            if node.vtable not in vtables:
                cursor -= len(node.vtable)
                cursor -= cursor % 2
                vtables[node.vtable] = new_vtables[node.vtable] = cursor
                pieces.append((cursor, node.vtable))
            struct.pack_into("<i", raw, 0, position - vtables[node.vtable])
        pieces.append((position, bytes(raw)))
    data = bytearray(end - cursor)
    for position, piece in pieces:
        data[position - cursor : position - cursor + len(piece)] = piece
    return cursor, bytes(data), Placed(new_nodes, new_vtables)
