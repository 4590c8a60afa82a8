"""Pictures from strangers: what they are and how large is read from their first bytes, before anything is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# JPEG's frame headers (SOF0 to SOF15, ITU T.81 table B.1) without the three codes between them that are others.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length: TEM, RST0 to RST7, SOI


def decode_picture(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decodes JPEG, PNG, WebP or BMP into uint8 (H, W, 3) BGR, 0–255; turned upright as its EXIF data says.

    Raises:
        HTTPException: 413 for more pixels than allowed, 415 for another format, 422 for a damaged picture.
    """
    import cv2
    import numpy as np

    height, width = picture_size(data)
    if height * width > max_pixels:
        raise HTTPException(413, f"Expected at most {max_pixels:,} pixels, got {width}×{height}. Scale it down.")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise _damaged()
    decoded: NDArray[np.uint8] = pixels
    return decoded


def picture_size(data: bytes) -> tuple[int, int]:
    """Height and width as the header says them.

    Raises:
        HTTPException: 415 for another format than JPEG, PNG, WebP and BMP, 422 for a damaged header.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            size = _jpeg_size(data)
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            size = _number(data, 20, 4, "big"), _number(data, 16, 4, "big")
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            size = _webp_size(data)
        elif data.startswith(b"BM"):
            size = _bmp_size(data)
        else:
            raise HTTPException(415, "Expected a JPEG, PNG, WebP or BMP picture, got something else.")
    except (IndexError, ValueError):
        raise _damaged() from None
    if min(size) < 1:
        raise _damaged()
    return size


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("no marker")
        while data[position] == 0xFF:  # any number of them may fill the gap before a marker
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_ALONE:
            continue
        if marker in _JPEG_FRAMES:
            return _number(data, position + 3, 2, "big"), _number(data, position + 5, 2, "big")
        if marker in (0xD9, 0xDA):
            raise ValueError("pixels before a frame header")
        position += max(_number(data, position, 2, "big"), 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _number(data, 27, 3, "little") + 1, _number(data, 24, 3, "little") + 1
    if kind == b"VP8L":
        bits = _number(data, 21, 4, "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _number(data, 28, 2, "little") & 0x3FFF, _number(data, 26, 2, "little") & 0x3FFF
    raise ValueError("unknown chunk")


def _bmp_size(data: bytes) -> tuple[int, int]:
    if _number(data, 14, 4, "little") == 12:  # OS/2's header, with 16-bit sizes
        return _number(data, 20, 2, "little"), _number(data, 18, 2, "little")
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative: stored from the top
    return abs(height), _number(data, 18, 4, "little")


def _number(data: bytes, start: int, length: int, order: str) -> int:
    part = data[start : start + length]
    if len(part) < length:
        raise IndexError("cut off")
    return int.from_bytes(part, "big" if order == "big" else "little")


def _damaged() -> HTTPException:
    return HTTPException(422, "Expected a picture that can be decoded, got one that is damaged or cut off.")
