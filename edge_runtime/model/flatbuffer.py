"""Reads FlatBuffers tables without generated code and without a dependency, checking every access.

The interpreter trusts a model file and takes the process down with a damaged one, so the file is walked here first.
The layout is that of the FlatBuffers specification ("FlatBuffers Internals"): little-endian; a table starts with the
distance back to its vtable, which holds the table's field positions by slot; a vector is a count and its elements.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import TYPE_CHECKING, Union

from edge_runtime.errors import ModelError

if TYPE_CHECKING:
    from mmap import mmap

Bytes = Union[bytes, memoryview, "mmap"]

_UINT = Struct("<I")
_INT = Struct("<i")
_TABLE_HEAD = Struct("<HH")
_VECTOR_CODES = {1: "B", 4: "i", 8: "q"}


class FlatBuffer:
    """A run of bytes that holds one FlatBuffers root table.

    Args:
        data: Of the file; only ``data[:size]`` is looked at.
        size: Bytes that belong to the buffer.
        name: Of the file, for errors.
    """

    __slots__ = ("data", "name", "size")

    def __init__(self, data: Bytes, size: int, name: str) -> None:
        self.data = data
        self.size = size
        self.name = name

    def identifier(self) -> bytes:
        """The four bytes that name the schema; empty where there is no room for them."""
        return bytes(self.data[4:8]) if self.size >= 8 else b""

    def root(self) -> Table:
        """The table that the buffer is about."""
        return Table(self, self.uint(0))

    def uint(self, position: int) -> int:
        """The unsigned 32-bit number at a position."""
        self.check(position, 4)
        return int(_UINT.unpack_from(self.data, position)[0])

    def check(self, position: int, length: int) -> None:
        """Raises ModelError unless ``length`` bytes from ``position`` lie inside the buffer."""
        if position < 0 or length < 0 or position + length > self.size:
            raise damaged(self.name)


class Table:
    """One table; fields are named by their slot, counted from 0 in the order of the schema."""

    __slots__ = ("_buffer", "_fields", "_position")

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        buffer.check(position, 4)
        vtable = position - _INT.unpack_from(buffer.data, position)[0]
        buffer.check(vtable, 4)
        vtable_bytes, table_bytes = _TABLE_HEAD.unpack_from(buffer.data, vtable)
        if vtable_bytes < 4 or vtable_bytes % 2:
            raise damaged(buffer.name)
        buffer.check(vtable, vtable_bytes)
        buffer.check(position, table_bytes)
        self._buffer = buffer
        self._position = position
        self._fields = unpack_from(f"<{(vtable_bytes - 4) // 2}H", buffer.data, vtable + 4)

    def has(self, slot: int) -> bool:
        """Whether the field is stored; otherwise it has its default."""
        return slot < len(self._fields) and self._fields[slot] != 0

    def scalar(self, slot: int, code: str, default: int = 0) -> int:
        """A number; ``code`` is the `struct` letter of its type."""
        if not self.has(slot):
            return default
        position = self._position + self._fields[slot]
        self._buffer.check(position, 8 if code in "qQ" else 4 if code in "iI" else 1)
        return int(unpack_from("<" + code, self._buffer.data, position)[0])

    def table(self, slot: int) -> Table | None:
        """A table that the field refers to; None where it is not stored."""
        return Table(self._buffer, self._target(slot)) if self.has(slot) else None

    def tables(self, slot: int) -> list[Table]:
        """The tables of a vector of tables; empty where there is none."""
        start, count = self.span(slot, 4)
        offsets = unpack_from(f"<{count}I", self._buffer.data, start)
        return [Table(self._buffer, start + 4 * i + offset) for i, offset in enumerate(offsets)]

    def span(self, slot: int, item_bytes: int = 1) -> tuple[int, int]:
        """Where a vector's elements start, and how many there are; (0, 0) where there is none."""
        if not self.has(slot):
            return 0, 0
        start = self._target(slot)
        count = self._buffer.uint(start)
        self._buffer.check(start + 4, count * item_bytes)
        return start + 4, count

    def bytes(self, slot: int) -> bytes:
        """A vector of bytes; empty where there is none."""
        start, count = self.span(slot)
        return bytes(self._buffer.data[start : start + count])

    def text(self, slot: int) -> str:
        """A string; empty where there is none."""
        return self.bytes(slot).decode("utf-8", "replace")

    def integers(self, slot: int, item_bytes: int = 4) -> tuple[int, ...]:
        """A vector of signed integers of 4 or 8 bytes, or of unsigned ones of 1."""
        start, count = self.span(slot, item_bytes)
        return unpack_from(f"<{count}{_VECTOR_CODES[item_bytes]}", self._buffer.data, start)

    def floats(self, slot: int) -> tuple[float, ...]:
        """A vector of 32-bit floats; empty where there is none."""
        start, count = self.span(slot, 4)
        return unpack_from(f"<{count}f", self._buffer.data, start)

    def _target(self, slot: int) -> int:
        position = self._position + self._fields[slot]
        return int(position + self._buffer.uint(position))


def damaged(name: str) -> ModelError:
    """The error for a file whose parts don't hold together."""
    return ModelError(f"Expected a whole TensorFlow Lite model, but {name} is truncated or damaged. Copy it again.")
