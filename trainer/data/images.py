"""From a picture file to pixels: JPEG, PNG, WebP and BMP in all color modes.

OpenCV decodes, because the device uses it too. Pillow reads the header and decodes what OpenCV gets wrong: CMYK
(OpenCV assumes Adobe's inverted values) and transparency (OpenCV drops it). EXIF rotation is applied in one place for
both. OpenCV silently fills the missing part of a truncated JPEG with gray, so the end of a file is checked first.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import PictureError
from edge_runtime.pixels.decode import MAX_SCANS, decode_picture, read_header
from trainer.data.photo_quality import Measures, measure
from trainer.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Suffixes of picture files, in lower case."""

MAX_PIXELS = 89_478_485
"""Most pixels of a picture (Pillow's own limit), because a small file can expand to terabytes of one color."""

_JPEG = ("JPEG", "MPO")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"RIFF", "WebP"), (b"BM", "BMP"))
_EXIF_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_EXIF_TAKEN = 0x9003


class _UnreadableError(Exception):
    """Why a file is unreadable, as a noun phrase such as "an empty file".

    Runs store these texts and compare them when they resume, so don't reword them.
    """


@dataclass(frozen=True)
class ImageFacts:
    """What inspecting a picture file found.

    Attributes:
        sha256: SHA-256 of the file's bytes; empty if it can't be opened.
        height: Height in pixels after EXIF rotation; 0 if the file is unreadable.
        width: Width in pixels after EXIF rotation; 0 if the file is unreadable.
        unreadable: Why the file is unreadable, as a noun phrase; empty if it is readable.
        taken_at: Time of the exposure by the camera's clock (EXIF), or None.
        measures: Measures of the pixels; None if they weren't decoded.
    """

    sha256: str
    height: int
    width: int
    unreadable: str = ""
    taken_at: datetime | None = None
    measures: Measures | None = None


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode a picture file.

    Transparent pictures are placed on white. Channels of more than 8 bits are cut to their upper 8.

    Returns:
        uint8 (H, W, 3) RGB, 0–255, with EXIF rotation applied.

    Raises:
        DatasetError: The file isn't a supported picture, or is damaged.
    """
    try:
        return decode_image(_read(path), str(path))
    except _UnreadableError as error:
        raise _no_picture(str(path), error) from error


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode the bytes of a picture file.

    Args:
        data: The file's bytes.
        name: Name of the picture for error messages.

    Returns:
        uint8 (H, W, 3) RGB, 0–255, as from `read_image`.

    Raises:
        DatasetError: The bytes aren't a supported picture, or are damaged.
    """
    try:
        return _decode(data)
    except _UnreadableError as error:
        raise _no_picture(name, error) from error


def inspect_image(path: str | Path, *, decode: bool = False) -> ImageFacts:
    """Inspect a picture file: hash, size, and whether it is complete. Bad files are reported, not raised.

    Args:
        path: The file.
        decode: If True, also decode and measure it, which takes longer and finds damage in the middle of a file.
    """
    try:
        data = _read(path)
    except _UnreadableError as error:
        return ImageFacts("", 0, 0, str(error))
    return inspect_bytes(data, decode=decode)


def inspect_bytes(data: bytes, *, decode: bool = False) -> ImageFacts:
    """Inspect the bytes of a picture file, like `inspect_image`."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = _open(data)
        measures = None
        if decode or not _is_whole(data, image):
            pixels = _decode(data)
            measures = measure(pixels) if decode else None
    except _UnreadableError as error:
        return ImageFacts(sha256, 0, 0, str(error))
    width, height = image.size
    turned = _orientation(image) >= 5
    return ImageFacts(
        sha256,
        height=width if turned else height,
        width=height if turned else width,
        taken_at=_taken_at(image),
        measures=measures,
    )


def _no_picture(name: str, error: _UnreadableError) -> DatasetError:
    return DatasetError(f"Cannot read {name}: {error}. Replace or delete it.")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _UnreadableError(f"a file that can't be opened ({error.strerror})") from error


def _open(data: bytes) -> Image:
    """Read only the header."""
    from PIL import Image

    if not data:
        raise _UnreadableError("an empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _UnreadableError(f"a picture of more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's plugins raise any error for a damaged header
        begins = [kind for magic, kind in _MAGIC if data.startswith(magic)]
        got = f"a truncated or damaged {begins[0]}" if begins else "a file that is no JPEG, PNG, WebP or BMP"
        raise _UnreadableError(got) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _UnreadableError(f"a picture of {width}×{height} pixels, more than {MAX_PIXELS:,}")
    if image.format in _JPEG and _jpeg_scans(data) > MAX_SCANS:
        raise _UnreadableError(f"a JPEG of more than {MAX_SCANS} scans")
    return image


def _is_whole(data: bytes, image: Image) -> bool:
    """Return True if the file has its end; False also if only decoding can tell."""
    if image.format in _JPEG:
        return read_header(data).is_whole
    if image.format == "PNG":
        return _png_is_whole(data)
    if image.format == "WEBP":  # RIFF stores the size of all but its first eight bytes
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False


def _jpeg_scans(data: bytes) -> int:
    try:
        return read_header(data).scans
    except PictureError as error:  # Pillow accepts headers that are incomplete
        raise _UnreadableError("a truncated or damaged JPEG") from error


def _png_is_whole(data: bytes) -> bool:
    """Walk the chunks up to the last one, checking each CRC."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def _decode(data: bytes) -> NDArray[np.uint8]:
    image = _open(data)
    try:
        pixels = _pixels(data, image)
    except Exception as error:  # Pillow, as in _open
        kind = {"MPO": "JPEG", "WEBP": "WebP"}.get(image.format or "", image.format)
        raise _UnreadableError(f"a truncated or damaged {kind}") from error
    return _upright(pixels, _orientation(image))


def _pixels(data: bytes, image: Image) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    if image.mode == "CMYK" or image.has_transparency_data or not _is_whole(data, image):
        return _decode_with_pillow(image)
    pixels = cv2.cvtColor(decode_picture(data, max_pixels=MAX_PIXELS, upright=False), cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)


def _decode_with_pillow(image: Image) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return np.array(Image.alpha_composite(white, picture).convert("RGB"))
    if image.mode.startswith("I"):  # 16-bit gray; convert("RGB") would clip it at 255
        gray = (np.array(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _orientation(image: Image) -> int:
    """Return the EXIF orientation, 1–8; 1 if it is missing or damaged."""
    if "exif" not in image.info:  # else Pillow decodes a whole PNG to look for it
        return 1
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises any error for damaged EXIF; the picture itself is fine
        return 1
    return orientation if orientation in range(1, 9) else 1


def _taken_at(image: Image) -> datetime | None:
    """Return the time of the exposure (EXIF 2.3, tags 0x8769 and 0x9003)."""
    if "exif" not in image.info:
        return None
    try:
        text = str(image.getexif().get_ifd(_EXIF_IFD).get(_EXIF_TAKEN, ""))
        return datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # Pillow raises any error for damaged EXIF, and an unset clock writes any text
        return None


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the rotation given by the EXIF orientation (EXIF 2.3, tag 0x0112)."""
    import numpy as np

    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
