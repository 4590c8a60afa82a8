"""Read the ZIP archive that TensorFlow Lite Metadata appends to a model for its associated files.

Importing `zipfile` would take a tenth of the program's startup time, so the archive is parsed here (PKWARE APPNOTE
4.3). As in `zipfile`, names, sizes and checksums come from the central directory.
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
_MAX_FILE_BYTES = 1 << 24  # uncompressed; labels and a manifest take a few KiB


@dataclass(frozen=True)
class AppendedFile:
    """Entry of the archive: its offset, sizes in bytes, compression method and checksum."""

    header: int
    compressed_bytes: int
    bytes: int
    method: int
    crc32: int


@dataclass(frozen=True)
class AppendedZip:
    """Archive appended to a model; empty if there is none.

    Attributes:
        start: Offset of the archive, which is the size of the model itself in bytes. The file size if there is none.
        files: Entries by name.
    """

    start: int
    files: dict[str, AppendedFile]

    def read(self, name: str, data: bytes | mmap, path: str) -> bytes:
        """Return the uncompressed content of a file.

        Args:
            name: Key of ``files``.
            data: Content of the whole model file.
            path: Path of the model file, for error messages.

        Raises:
            ModelError: The content is larger than 16 MiB, damaged, or does not match its checksum.
        """
        import zlib

        file = self.files[name]
        if max(file.bytes, file.compressed_bytes) > _MAX_FILE_BYTES:
            raise ModelError(
                f"{name} inside {path} takes {max(file.bytes, file.compressed_bytes):,} bytes; at most "
                f"{_MAX_FILE_BYTES >> 20} MiB are allowed. Export the model again."
            )
        try:
            name_bytes, extra_bytes = unpack_from("<HH", data, file.header + 26)
            start = file.header + 30 + name_bytes + extra_bytes
            content = data[start : start + file.compressed_bytes]
            if file.method == 8:
                # Never unpack more than the size in the directory (plus one byte, to notice a longer stream).
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, file.bytes + 1)
        except (struct.error, zlib.error) as error:
            raise damaged(path) from error
        if len(content) != file.bytes or zlib.crc32(content) != file.crc32:
            raise damaged(path)
        return content


def find_zip(data: bytes | mmap, path: str) -> AppendedZip:
    """Find the archive at the end of a model file.

    Raises:
        ModelError: The archive's directory is damaged or lists more than 64 files.
    """
    size = len(data)
    end = data.rfind(b"PK\x05\x06", max(0, size - _END_BYTES - _MAX_COMMENT_BYTES))
    if end < 0 or end + _END_BYTES > size or end + _END_BYTES + unpack_from("<H", data, end + 20)[0] != size:
        return AppendedZip(size, {})
    count, directory_bytes, directory_offset = unpack_from("<HII", data, end + 10)
    # Offsets count from the start of the archive if it was created separately and then appended.
    shift = end - directory_bytes - directory_offset
    position = end - directory_bytes
    files: dict[str, AppendedFile] = {}
    if count > _MAX_FILES:
        raise ModelError(f"{path} contains {count} files; at most {_MAX_FILES} are allowed. Export the model again.")
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
