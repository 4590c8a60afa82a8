"""Read FlatBuffers tables without generated code or dependencies, checking the bounds of every access.

The interpreter trusts a model file, and a damaged one can crash the process, so the file is checked here first. The
layout follows "FlatBuffers Internals": little-endian; a table starts with the distance back to its vtable, which holds
the field positions by slot; a vector is a count followed by its elements.
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
    """Buffer that holds one FlatBuffers root table.

    Args:
        data: Content of the file; only ``data[:size]`` is read.
        size: Size of the buffer in bytes.
        name: Name of the file, for error messages.
    """

    __slots__ = ("data", "name", "size")

    def __init__(self, data: Bytes, size: int, name: str) -> None:
        self.data = data
        self.size = size
        self.name = name

    def identifier(self) -> bytes:
        """Return the four bytes that identify the schema, or ``b""`` if the buffer is too short."""
        return bytes(self.data[4:8]) if self.size >= 8 else b""

    def root(self) -> Table:
        """Return the root table."""
        return Table(self, self.uint(0))

    def uint(self, position: int) -> int:
        """Return the unsigned 32-bit integer at ``position``."""
        self.check(position, 4)
        return int(_UINT.unpack_from(self.data, position)[0])

    def check(self, position: int, length: int) -> None:
        """Check that ``length`` bytes from ``position`` lie inside the buffer.

        Raises:
            ModelError: They do not.
        """
        if position < 0 or length < 0 or position + length > self.size:
            raise damaged(self.name)


class Table:
    """Table whose fields are addressed by slot: their position in the schema, from 0.

    Raises:
        ModelError: The table, or one of its fields, reaches beyond the buffer.
    """

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
        """Whether the field is stored; if not, it has its default value."""
        return slot < len(self._fields) and self._fields[slot] != 0

    def scalar(self, slot: int, code: str, default: int = 0) -> int:
        """Return a number; ``code`` is the `struct` format character of its type."""
        if not self.has(slot):
            return default
        position = self._position + self._fields[slot]
        self._buffer.check(position, 8 if code in "qQ" else 4 if code in "iI" else 1)
        return int(unpack_from("<" + code, self._buffer.data, position)[0])

    def table(self, slot: int) -> Table | None:
        """Return the table the field refers to, or None if the field is not stored."""
        return Table(self._buffer, self._target(slot)) if self.has(slot) else None

    def tables(self, slot: int) -> list[Table]:
        """Return a vector of tables; empty if the field is not stored."""
        start, count = self.span(slot, 4)
        offsets = unpack_from(f"<{count}I", self._buffer.data, start)
        return [Table(self._buffer, start + 4 * i + offset) for i, offset in enumerate(offsets)]

    def span(self, slot: int, item_bytes: int = 1) -> tuple[int, int]:
        """Return the position and number of a vector's elements; (0, 0) if the field is not stored."""
        if not self.has(slot):
            return 0, 0
        start = self._target(slot)
        count = self._buffer.uint(start)
        self._buffer.check(start + 4, count * item_bytes)
        return start + 4, count

    def bytes(self, slot: int) -> bytes:
        """Return a vector of bytes; empty if the field is not stored."""
        start, count = self.span(slot)
        return bytes(self._buffer.data[start : start + count])

    def text(self, slot: int) -> str:
        """Return a string; empty if the field is not stored."""
        return self.bytes(slot).decode("utf-8", "replace")

    def integers(self, slot: int, item_bytes: int = 4) -> tuple[int, ...]:
        """Return a vector of signed 4- or 8-byte integers, or of unsigned 1-byte integers."""
        start, count = self.span(slot, item_bytes)
        return unpack_from(f"<{count}{_VECTOR_CODES[item_bytes]}", self._buffer.data, start)

    def floats(self, slot: int) -> tuple[float, ...]:
        """Return a vector of 32-bit floats; empty if the field is not stored."""
        start, count = self.span(slot, 4)
        return unpack_from(f"<{count}f", self._buffer.data, start)

    def _target(self, slot: int) -> int:
        position = self._position + self._fields[slot]
        return int(position + self._buffer.uint(position))


def damaged(name: str) -> ModelError:
    """Return the error for a truncated or inconsistent model file."""
    return ModelError(f"The model file {name} is truncated or damaged. Copy it again, or export the model again.")
