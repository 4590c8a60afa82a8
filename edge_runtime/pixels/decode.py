"""Picture files, as of strangers: what they are, and how large, is read before anything is decoded."""

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
"""Larger pictures are refused: a file of kilobytes can hold gigabytes of one colour. A phone's 48 million fit."""

MAX_SCANS = 32
"""JPEGs of more scans are refused: each of 14 bytes costs a pass over all pixels. Encoders write 10."""

# JPEG's frame headers (SOF0 to SOF15, ITU T.81 table B.1) without the three codes between them that are others.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, 0xD8})  # markers without a length: TEM, SOI; RST0 to RST7 are a part of a scan's data
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # of PNG (third edition, 11.3.6)
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
# As libjpeg looks for the next one: past a scan's data, in which 0 follows each 0xFF, and past anything else.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says of itself.

    Attributes:
        kind: Its format.
        height: In pixels, as stored: EXIF may turn it.
        width: The same.
        scans: Passes over the pixels in a JPEG; 1 in others.
        is_whole: Whether a JPEG or a PNG has its end; of others decoding tells.
    """

    kind: Literal["JPEG", "PNG", "WebP", "BMP"]
    height: int
    width: int
    scans: int = 1
    is_whole: bool = True


def decode_picture(
    data: bytes, *, name: str = "", max_pixels: int = MAX_PIXELS, upright: bool = True
) -> NDArray[np.uint8]:
    """Decodes JPEG, PNG, WebP or BMP into uint8 (H, W, 3) BGR, 0–255.

    Of an animation, the first picture is taken; of 16 bits a channel, the upper 8.

    Args:
        data: Of the file.
        name: Of the file, for people.
        max_pixels: Height times width.
        upright: Turn it as its EXIF data says.

    Raises:
        PictureError: It is no such picture, damaged, cut off, or larger than allowed.
    """
    import cv2
    import numpy as np

    where = f" in {name}" if name else ""
    header = read_header(data, name=name)
    if header.height * header.width > max_pixels:
        size = f"{header.width}×{header.height}"
        raise PictureError("size", f"Expected at most {max_pixels:,} pixels, got {size}{where}. Scale it down.")
    if header.scans > MAX_SCANS:
        raise PictureError("size", f"Expected at most {MAX_SCANS} scans of a JPEG, got more{where}. Save it anew.")
    if not header.is_whole:  # OpenCV fills what is missing of a JPEG with grey, and says nothing
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
    """Reads what a file says of itself; ``name`` is for people.

    Raises:
        PictureError: It is no JPEG, PNG, WebP or BMP, or its header is damaged.
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
            where = f" in {name}" if name else ""
            raise PictureError("format", f"Expected a JPEG, PNG, WebP or BMP picture, got something else{where}.")
    except _CutOffError:
        raise _damaged(name) from None
    if min(header.height, header.width) < 1:
        raise _damaged(name)
    return header


class _CutOffError(Exception):
    """The header isn't whole."""


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
    """Each marker, and where what belongs to it begins; ends with the picture, before what a phone appends to it."""
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
    """Without an animation's chunks: OpenCV 4.11 and 4.12 end the process where the first picture of one is damaged."""
    chunks = list(_png_chunks(png))
    if not any(kind in _ANIMATION for kind, _, _ in chunks):
        return png
    return png[:8] + b"".join(png[start:end] for kind, start, end in chunks if kind not in _ANIMATION)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, start and end, to the last. OpenCV 4.11 asks for as much memory as a chunk claims to have."""
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
    if _number(data, 14, 4, "little") == 12:  # OS/2's header, with 16-bit sizes
        return _number(data, 20, 2, "little"), _number(data, 18, 2, "little")
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative: stored from the top
    return abs(height), _number(data, 18, 4, "little")


def _number(data: bytes, start: int, length: int, order: Literal["big", "little"]) -> int:
    part = data[start : start + length]
    if len(part) < length:
        raise _CutOffError
    return int.from_bytes(part, order)


def _damaged(name: str) -> PictureError:
    where = f" in {name}" if name else ""
    return PictureError("damage", f"Expected a picture that can be decoded, got a damaged or cut off one{where}.")
