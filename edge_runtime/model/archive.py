"""Reads the ZIP that TensorFlow Lite Metadata appends to a model for its associated files.

By hand, since `zipfile` costs a tenth of the program's start; the format is PKWARE's APPNOTE 4.3. Names, sizes and
checksums come from the central directory, as in `zipfile`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from struct import unpack_from
from typing import TYPE_CHECKING

from edge_runtime.errors import ModelError
from edge_runtime.model.flatbuffer import damaged

if TYPE_CHECKING:
    from mmap import mmap

_END_BYTES = 22
_MAX_COMMENT_BYTES = 65535
_MAX_FILES = 64
_MAX_FILE_BYTES = 1 << 24  # unpacked; labels and a manifest are some KiB


@dataclass(frozen=True)
class AppendedFile:
    """One file of the ZIP: where it lies, and how."""

    header: int
    compressed_bytes: int
    bytes: int
    method: int
    crc32: int


@dataclass(frozen=True)
class AppendedZip:
    """What stands behind a model's own bytes.

    Attributes:
        start: Where the ZIP starts, so the length of the model itself; the file's length where there is no ZIP.
        files: By name.
    """

    start: int
    files: dict[str, AppendedFile]

    def read(self, name: str, data: bytes | mmap, path: str) -> bytes:
        """Returns a file's content.

        Args:
            name: One of ``files``.
            data: The whole model file.
            path: Of the model file, for errors.

        Raises:
            ModelError: The content is not what was stored.
        """
        import zlib

        file = self.files[name]
        if max(file.bytes, file.compressed_bytes) > _MAX_FILE_BYTES:
            raise ModelError(
                f"Expected files of at most {_MAX_FILE_BYTES >> 20} MiB inside {path}, got {name} of "
                f"{max(file.bytes, file.compressed_bytes):,} bytes. Export the model again."
            )
        try:
            name_bytes, extra_bytes = unpack_from("<HH", data, file.header + 26)
            start = file.header + 30 + name_bytes + extra_bytes
            content = data[start : start + file.compressed_bytes]
            if file.method == 8:
                # No more than was announced, whatever the stream holds.
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, file.bytes + 1)
        except (struct.error, zlib.error) as error:
            raise damaged(path) from error
        if len(content) != file.bytes or zlib.crc32(content) != file.crc32:
            raise damaged(path)
        return content


def find_zip(data: bytes | mmap, path: str) -> AppendedZip:
    """Finds the ZIP at the end of a model file.

    Raises:
        ModelError: There is one, and its directory is damaged.
    """
    size = len(data)
    end = data.rfind(b"PK\x05\x06", max(0, size - _END_BYTES - _MAX_COMMENT_BYTES))
    if end < 0 or end + _END_BYTES > size or end + _END_BYTES + unpack_from("<H", data, end + 20)[0] != size:
        return AppendedZip(size, {})
    count, directory_bytes, directory_offset = unpack_from("<HII", data, end + 10)
    # Offsets may count from the ZIP's own start, where one was made apart and then appended.
    shift = end - directory_bytes - directory_offset
    position = end - directory_bytes
    files: dict[str, AppendedFile] = {}
    if count > _MAX_FILES:
        raise ModelError(f"Expected at most {_MAX_FILES} files inside {path}, got {count}. Export the model again.")
    try:
        for _ in range(count):
            signature, method, crc32, compressed, unpacked, name_bytes, extra, comment, header = unpack_from(
                "<4s6xH4xIIIHHH8xI", data, position
            )
            name = bytes(data[position + 46 : position + 46 + name_bytes])
            start = header + shift
            if signature != b"PK\x01\x02" or start < 0 or data[start : start + 4] != b"PK\x03\x04":
                raise damaged(path)
            files[name.decode("utf-8", "replace")] = AppendedFile(start, compressed, unpacked, method, crc32)
            position += 46 + name_bytes + extra + comment
    except struct.error as error:
        raise damaged(path) from error
    return AppendedZip(min((file.header for file in files.values()), default=size), files)
