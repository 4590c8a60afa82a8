"""Decode untrusted picture files: format and size are checked in the header before anything is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import PictureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 50_000_000
"""Limit on height times width: a file of a few kilobytes can expand to gigabytes. 48-megapixel photos are allowed."""

MAX_SCANS = 32
"""Limit on the scans of a JPEG: each takes 14 bytes and costs a pass over all pixels. Encoders write about 10."""

# JPEG frame headers (SOF0 to SOF15, ITU T.81 table B.1). C4, C8 and CC are other markers.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, 0xD8})  # markers without a length: TEM, SOI; RST0 to RST7 are part of a scan's data
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # chunks of an animated PNG (third edition, 11.3.6)
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
# Find the next marker as libjpeg does: skip scan data, where 0 follows each 0xFF, and anything else.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


@dataclass(frozen=True)
class PictureHeader:
    """Header of a picture file.

    Attributes:
        kind: File format.
        height: Height in pixels as stored, before any EXIF rotation.
        width: Width in pixels as stored.
        scans: Number of scans of a JPEG; 1 for other formats.
        is_whole: False for a truncated JPEG or PNG. Other formats show this only when decoded.
    """

    kind: Literal["JPEG", "PNG", "WebP", "BMP"]
    height: int
    width: int
    scans: int = 1
    is_whole: bool = True


def decode_picture(
    data: bytes, *, name: str = "", max_pixels: int = MAX_PIXELS, upright: bool = True
) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP or BMP picture.

    Args:
        data: Content of the file.
        name: File name, for error messages.
        max_pixels: Maximum of height times width.
        upright: If True, rotate the picture as its EXIF data says.

    Returns:
        uint8 (H, W, 3) BGR, 0–255. The first picture of an animation; the upper 8 bits of a 16-bit picture.

    Raises:
        PictureError: The file has another format, is truncated or damaged, or is too large.
    """
    import cv2
    import numpy as np

    header, shown = read_header(data, name=name), name or "The picture"
    if header.height * header.width > max_pixels:
        size = f"{header.width}×{header.height}"
        raise PictureError("size", f"{shown} has {size} pixels; at most {max_pixels:,} are allowed. Scale it down.")
    if header.scans > MAX_SCANS:
        raise PictureError("size", f"{shown} has more than {MAX_SCANS} JPEG scans. Save it again as a normal JPEG.")
    if not header.is_whole:  # OpenCV silently fills the missing part of a JPEG with gray
        raise _damaged(name)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(_still(data) if header.kind == "PNG" else data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise _damaged(name)
    decoded: NDArray[np.uint8] = pixels
    return decoded


def read_header(data: bytes, *, name: str = "") -> PictureHeader:
    """Read the header of a picture file; ``name`` is used in error messages.

    Raises:
        PictureError: The file is not JPEG, PNG, WebP or BMP, or its header is damaged.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            header = _jpeg_header(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            header = _png_header(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = PictureHeader("WebP", *_webp_size(data))
        elif data.startswith(b"BM"):
            header = PictureHeader("BMP", *_bmp_size(data))
        else:
            raise PictureError(
                "format", f"{name or 'The file'} is not a JPEG, PNG, WebP or BMP picture. Convert it to one of these."
            )
    except _CutOffError:
        raise _damaged(name) from None
    if min(header.height, header.width) < 1:
        raise _damaged(name)
    return header


class _CutOffError(Exception):
    """The header is truncated."""


def _jpeg_header(data: bytes) -> PictureHeader:
    size, scans, is_whole = None, 0, False
    for marker, position in _jpeg_markers(data):
        if marker in _JPEG_FRAMES and size is None:
            size = _number(data, position + 3, 2, "big"), _number(data, position + 5, 2, "big")
        scans += marker == _JPEG_SCAN
        is_whole = marker == _JPEG_END
        if scans > MAX_SCANS or (scans and size is None):
            break
    if size is None:
        raise _CutOffError
    return PictureHeader("JPEG", *size, scans, is_whole)


def _jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position after it, up to the end of the picture. Phones append data after that."""
    position = 0
    while found := _JPEG_MARKER.search(data, position):
        marker, position = found[1][0], found.end()
        yield marker, position
        if marker == _JPEG_END:
            return
        if marker not in _JPEG_ALONE:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)


def _png_header(data: bytes) -> PictureHeader:
    height, width = _number(data, 20, 4, "big"), _number(data, 16, 4, "big")
    kinds = [kind for kind, _, _ in _png_chunks(data)]
    return PictureHeader("PNG", height, width, is_whole=kinds[0] == b"IHDR" and kinds[-1] == b"IEND")


def _still(png: bytes) -> bytes:
    """Drop animation chunks: OpenCV 4.11 and 4.12 crash if the first picture of an animation is damaged."""
    chunks = list(_png_chunks(png))
    if not any(kind in _ANIMATION for kind, _, _ in chunks):
        return png
    return png[:8] + b"".join(png[start:end] for kind, start, end in chunks if kind not in _ANIMATION)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, start and end of each chunk. OpenCV 4.11 allocates whatever size a chunk claims to have."""
    start, kind = 8, b""
    while kind != b"IEND":
        kind, end = data[start + 4 : start + 8], start + 12 + _number(data, start, 4, "big")
        if end > len(data):
            raise _CutOffError
        yield kind, start, end
        start = end


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _number(data, 27, 3, "little") + 1, _number(data, 24, 3, "little") + 1
    if kind == b"VP8L":
        bits = _number(data, 21, 4, "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _number(data, 28, 2, "little") & 0x3FFF, _number(data, 26, 2, "little") & 0x3FFF
    raise _CutOffError


def _bmp_size(data: bytes) -> tuple[int, int]:
    if _number(data, 14, 4, "little") == 12:  # OS/2 header, with 16-bit sizes
        return _number(data, 20, 2, "little"), _number(data, 18, 2, "little")
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative if stored from the top
    return abs(height), _number(data, 18, 4, "little")


def _number(data: bytes, start: int, length: int, order: Literal["big", "little"]) -> int:
    part = data[start : start + length]
    if len(part) < length:
        raise _CutOffError
    return int.from_bytes(part, order)


def _damaged(name: str) -> PictureError:
    return PictureError("damage", f"{name or 'The picture'} is damaged or truncated and cannot be decoded.")
