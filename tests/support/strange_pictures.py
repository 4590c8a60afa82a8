"""Picture files as strangers make them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 90


def smooth() -> Image.Image:
    """60 rows, 90 columns, another colour in each corner."""
    corners = np.array([[[250, 20, 30], [20, 240, 40]], [[30, 40, 230], [220, 210, 20]]], np.uint8)
    return Image.fromarray(cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))


def bomb(height: int, width: int) -> bytes:
    """A whole PNG of black pixels, a bit each: as few bytes as many pixels can have."""
    rows = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def broken_animation() -> bytes:
    """An animated PNG whose first picture has a filter that isn't one: OpenCV 4.11 would end the process."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    animation = _chunk(b"acTL", struct.pack(">II", 2, 0))
    animation += _chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 1, 0, 0))
    data = _chunk(b"IDAT", zlib.compress((b"\x07" + bytes(3 * WIDTH)) * HEIGHT))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + animation + data + _chunk(b"IEND", b"")


def endless_chunk() -> bytes:
    """A PNG with a chunk that claims gigabytes: OpenCV 4.11 would ask for them."""
    data = bomb(20, 30)
    return data[:33] + struct.pack(">I", 2**31 - 1) + b"noTe" + data[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last pass over the pixels, of some bytes, is there again and again."""
    data = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    scan, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:scan] + data[scan:end] * (count - data.count(b"\xff\xda") + 1) + data[end:]


def looping_exif() -> bytes:
    """EXIF whose directory leads to itself, twice, and which turns the picture by 90°."""
    entries = struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + entries + struct.pack(">I", 8)


def write_good(folder: Path) -> dict[str, tuple[int, int]]:
    """Unusual files that are pictures all the same, with their height and width."""
    picture = smooth()
    others = [picture.rotate(angle) for angle in (90, 180, 270)]
    deep = np.asarray(picture)[:, :, ::-1].astype(np.uint16) * 257
    for name, options in (("animated.png", {}), ("animated.webp", {"lossless": True})):
        picture.save(folder / name, save_all=True, append_images=others, **options)
    picture.convert("CMYK").save(folder / "print.jpg", quality=95, subsampling=0)
    picture.save(folder / "wrong.jpg", format="PNG")
    picture.save(folder / "loop.jpg", quality=95, subsampling=0, exif=looping_exif())
    cv2.imwrite(str(folder / "deep.png"), deep)
    cv2.imwrite(str(folder / "deep_grey.png"), deep[:, :, 0])
    sizes = {file.name: (HEIGHT, WIDTH) for file in folder.iterdir()} | {"loop.jpg": (WIDTH, HEIGHT)}
    for suffix in ("jpg", "png", "webp", "bmp"):
        picture.resize((1, 1)).save(folder / f"one.{suffix}")
        sizes[f"one.{suffix}"] = (1, 1)
    (folder / "long.png").write_bytes(bomb(3, 1_000_000))
    return sizes | {"long.png": (3, 1_000_000)}


def write_bad(folder: Path) -> dict[str, str]:
    """Files that are to be refused, with what is wrong: ``"size"``, ``"format"`` or ``"damage"``."""
    picture = smooth()
    for suffix in ("jpg", "png", "webp", "bmp"):
        picture.save(folder / f"cut.{suffix}")
        data = (folder / f"cut.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(data[: len(data) * 9 // 10])
    wrong = {file.name: "damage" for file in folder.iterdir()}
    picture.save(folder / "animated.jpg", format="GIF", save_all=True, append_images=[picture.rotate(90)])
    picture.save(folder / "tiff.jpg", format="TIFF")
    (folder / "page.png").write_bytes(b"<!doctype html><title>Not found</title>")
    (folder / "empty.jpg").write_bytes(b"")
    wrong |= dict.fromkeys(("animated.jpg", "tiff.jpg", "page.png", "empty.jpg"), "format")
    (folder / "bomb.png").write_bytes(bomb(30_000, 30_000))
    (folder / "scans.jpg").write_bytes(many_scans(10_000))
    (folder / "broken_animation.png").write_bytes(broken_animation())
    (folder / "endless_chunk.png").write_bytes(endless_chunk())
    wrong |= {"broken_animation.png": "damage", "endless_chunk.png": "damage"}
    return wrong | {"bomb.png": "size", "scans.jpg": "size"}
