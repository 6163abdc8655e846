"""What turns one bundle into the next: bytes to write, and where."""

import dataclasses
import os
import struct
import zlib

from swr_keras.device.bundle_table import Table, find_table
from swr_keras.export.errors import ExportError
from swr_keras.files import read_bytes, write_atomically

_MAGIC = b"SWRP"
_HEADER = struct.Struct("<4sIII")
_WRITE = struct.Struct("<II")
_CHECKSUM = struct.Struct("<I")


@dataclasses.dataclass(frozen=True)
class Patch:
    """Writes that add, replace or remove a task, and leave alone what other tasks need.

    As bytes, for a device, all numbers little-endian: magic "SWRP", u32 bytes of the image, u32
    checksum of the table that holds before, u32 number of writes, each u32 offset, u32 bytes, the
    bytes; u32 CRC-32 of all before.

    Attributes:
        image_bytes: Bytes of the image that it is for.
        before: CRC-32 that the table ends with that it is for.
        writes: Offset and bytes of each write, in order: first what is new, to where nothing was;
            then the table, to the slot that doesn't hold. Cut short anywhere, the bundle is as it
            was, and the same patch can be written again.
    """

    image_bytes: int
    before: int
    writes: tuple[tuple[int, bytes], ...]

    @property
    def num_bytes(self) -> int:
        """Bytes that are written."""
        return sum(len(data) for _, data in self.writes)

    def apply(self, image: bytes) -> bytes:
        """Returns an image after all writes.

        Raises:
            ExportError: If the patch is for another image, or for another state of it.
        """
        if len(image) != self.image_bytes or checksum(find_table(image)) != self.before:
            raise ExportError(
                "The patch was made for another bundle, or for another state of it. Make it from "
                "the bundle that the device has."
            )
        patched = bytearray(image)
        for offset, data in self.writes:
            patched[offset : offset + len(data)] = data
        return bytes(patched)

    def to_bytes(self) -> bytes:
        """Returns it as bytes."""
        data = _HEADER.pack(_MAGIC, self.image_bytes, self.before, len(self.writes))
        data += b"".join(_WRITE.pack(offset, len(each)) + each for offset, each in self.writes)
        return data + _CHECKSUM.pack(zlib.crc32(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Patch":
        """Reads what `to_bytes` gives.

        Raises:
            ExportError: If it isn't that, or damaged.
        """
        end = len(data) - _CHECKSUM.size
        try:
            magic, image_bytes, before, count = _HEADER.unpack_from(data)
            if magic != _MAGIC or zlib.crc32(data[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
                raise ExportError("its first bytes or its checksum are wrong")
            at, writes = _HEADER.size, []
            for _ in range(count):
                offset, length = _WRITE.unpack_from(data, at)
                at += _WRITE.size + length
                writes.append((offset, data[at - length : at]))
                if at > end or offset + length > image_bytes:
                    raise ExportError("a write lies outside of the image")
        except (struct.error, ExportError) as error:
            raise ExportError(
                f"Expected a patch of a bundle. Received: {len(data)} bytes, {error}. Make it anew."
            ) from error
        return cls(image_bytes, before, tuple(writes))

    def save(self, path: str | os.PathLike) -> None:
        """Writes it to a file, whole or not at all."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Patch":
        """Reads a file, as `from_bytes`."""
        return cls.from_bytes(read_bytes(path, kind="a patch of a bundle"))


def checksum(table: Table) -> int:
    """Returns the CRC-32 that a table ends with."""
    return _CHECKSUM.unpack(table.pack()[-_CHECKSUM.size :])[0]
