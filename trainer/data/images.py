"""From a picture file to pixels: JPEG, PNG, WebP and BMP in all their colour modes.

OpenCV decodes, because it is the device's decoder; Pillow reads the header and decodes what OpenCV gets wrong:
CMYK (it takes every file for Adobe's inverted kind) and transparency (it drops it). EXIF rotation is applied in one
place, for both. OpenCV fills the missing part of a truncated JPEG with grey and says nothing, so files are checked
for their end before they are decoded.
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
from trainer.data.measures import Measures, measure
from trainer.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Suffixes of the files that are taken for pictures, in lower case."""

MAX_PIXELS = 89_478_485
"""Larger pictures are refused: a small file can hold terabytes of one colour. Pillow's own limit."""

_JPEG = ("JPEG", "MPO")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"RIFF", "WebP"), (b"BM", "BMP"))
_EXIF_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_EXIF_TAKEN = 0x9003


class _UnreadableError(Exception):
    """Why a file gives no picture, as a noun phrase: "an empty file"."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a picture file.

    Attributes:
        sha256: Of its bytes; empty where it can't be opened.
        height: In pixels, as it is shown (after EXIF rotation); 0 where it is unreadable.
        width: The same.
        unreadable: Why it gives no picture, as a noun phrase; empty where it does.
        taken_at: When it was taken, by the camera's clock (EXIF); None where nobody says.
        measures: What its pixels are like; None where they weren't decoded.
    """

    sha256: str
    height: int
    width: int
    unreadable: str = ""
    taken_at: datetime | None = None
    measures: Measures | None = None


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Decodes a picture file.

    Transparent pictures are laid on white; of more than 8 bits a channel, the upper 8 are taken.

    Returns:
        uint8 (H, W, 3) RGB, 0–255, turned as its EXIF orientation says.

    Raises:
        DatasetError: The file is no picture, or a damaged one.
    """
    try:
        return decode_image(_read(path), str(path))
    except _UnreadableError as error:
        raise _no_picture(str(path), error) from error


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decodes the bytes of a picture file, as `read_image` does; ``name`` is for people."""
    try:
        return _decode(data)
    except _UnreadableError as error:
        raise _no_picture(name, error) from error


def inspect_image(path: str | Path, *, decode: bool = False) -> ImageFacts:
    """Looks at a picture file: its hash, its size, and whether it is whole. Never raises for a bad file.

    Args:
        path: The file.
        decode: Decode and measure it as well, which finds damage in the middle of a file too, and takes longer.
    """
    try:
        data = _read(path)
    except _UnreadableError as error:
        return ImageFacts("", 0, 0, str(error))
    return inspect_bytes(data, decode=decode)


def inspect_bytes(data: bytes, *, decode: bool = False) -> ImageFacts:
    """Looks at the bytes of a picture file, as `inspect_image` does."""
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
    return DatasetError(f"Expected a picture in {name}, got {error}. Replace the file or take it out.")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _UnreadableError(f"a file that can't be opened ({error.strerror})") from error


def _open(data: bytes) -> Image:
    """Reads the header alone."""
    from PIL import Image

    if not data:
        raise _UnreadableError("an empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _UnreadableError(f"a picture of more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's plugins raise whatever a damaged header leads to
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
    """Whether the file has its end; False also where only decoding can tell."""
    if image.format in _JPEG:
        return read_header(data).is_whole
    if image.format == "PNG":
        return _png_is_whole(data)
    if image.format == "WEBP":  # RIFF: the size of what follows the first eight bytes
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False


def _jpeg_scans(data: bytes) -> int:
    try:
        return read_header(data).scans
    except PictureError as error:  # Pillow is content with less of a header
        raise _UnreadableError("a truncated or damaged JPEG") from error


def _png_is_whole(data: bytes) -> bool:
    """Walks the chunks, checking each one's CRC, to the last."""
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
    except Exception as error:  # as above
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
    if image.mode.startswith("I"):  # 16-bit grey; convert("RGB") would clip it at 255
        grey = (np.array(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1–8; 1 where there is none, or a damaged one."""
    if "exif" not in image.info:  # else Pillow decodes a whole PNG in search of it
        return 1
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF leads Pillow to any error; the picture itself is good
        return 1
    return orientation if orientation in range(1, 9) else 1


def _taken_at(image: Image) -> datetime | None:
    """EXIF's time of the exposure (2.3, tags 0x8769 and 0x9003)."""
    if "exif" not in image.info:
        return None
    try:
        text = str(image.getexif().get_ifd(_EXIF_IFD).get(_EXIF_TAKEN, ""))
        return datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except Exception:  # damaged EXIF leads Pillow to any error; a clock that was never set writes anything, too
        return None


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undoes the turn that the EXIF orientation tells (EXIF 2.3, tag 0x0112)."""
    import numpy as np

    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
