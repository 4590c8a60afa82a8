"""Changes pictures at random and decodes each: every one has to be decoded or refused, in a few seconds and MiB.

    python -m tests.hostile.fuzz.pictures --count 100000

What broke the rule is kept in ``build/fuzz``. The same seed gives the same pictures.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.hostile.fuzz.outcome import FOLDER, Broken, report
from tests.hostile.fuzz.worker import Worker
from tests.support.strange_pictures import smooth, write_good

# Of the trainer's largest picture, on a busy machine: its pixels as OpenCV gives them, in RGB, and turned upright.
MAX_S, MAX_MIB = 20.0, 900.0
_NUMBERS = (0, 1, 2, 7, 255, 256, 8_000, 32_767, 65_535, 2**24, 2**31 - 1, 2**32 - 1)


def seeds() -> list[bytes]:
    """Good pictures of all formats and many kinds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [file for file in write_good(folder) if not file.startswith(("one", "long"))]
        for suffix in ("jpg", "png", "webp", "bmp"):
            smooth().save(folder / f"plain.{suffix}")
            files.append(f"plain.{suffix}")
        smooth().save(folder / "passes.jpg", progressive=True)
        smooth().convert("RGBA").save(folder / "clear.png")
        return [(folder / file).read_bytes() for file in (*files, "passes.jpg", "clear.png")]


def mutated(pictures: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the pictures with flipped bits, other numbers, cut off, or with a part twice or of another."""
    content = bytearray(rng.choice(pictures))

    def position() -> int:  # headers stand in front
        return rng.randrange(min(len(content), rng.choice((40, 400, len(content)))))

    kind = rng.choices(("bits", "numbers", "cut", "splice", "repeat"), (40, 25, 10, 15, 10))[0]
    if kind == "bits":
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            content[position()] ^= 1 << rng.randrange(8)
    elif kind == "numbers":
        for _ in range(rng.choice((1, 1, 2, 3))):
            at, number = position(), rng.choice((*_NUMBERS, rng.randrange(2**32), rng.randrange(20_000)))
            packed = struct.pack(rng.choice((">I", "<I")), number)
            content[at : at + 4] = rng.choice((packed, packed[:2], packed[2:]))
    elif kind == "cut":
        del content[rng.randrange(len(content)) :]
    else:
        donor = bytes(content) if kind == "repeat" else rng.choice(pictures)
        start, length, at = rng.randrange(len(donor)), rng.randrange(1, 400), position()
        part = donor[start : start + length] * (rng.choice((1, 10, 1000)) if kind == "repeat" else 1)
        content[at : at + (length if kind == "splice" else 0)] = part
    return _with_sums(content) if content.startswith(b"\x89PNG") and rng.random() < 0.8 else bytes(content)


def _with_sums(content: bytearray) -> bytes:
    """A PNG whose chunks have the sums that they should: else nearly all end at the first wrong one."""
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(content)


def fuzz(*, count: int, seed: int, folder: Path) -> Iterator[str | Broken]:
    """Decodes mutated pictures one after the other.

    Args:
        count: How many.
        seed: Of the mutations.
        folder: For the file that is being decoded.

    Yields:
        ``"ran"``, ``"refused"`` or what is wrong.
    """
    rng, file, pictures = random.Random(seed), folder / "mutated.jpg", seeds()
    worker = Worker("tests.hostile.fuzz.picture_worker", max_s=MAX_S, max_mib=MAX_MIB)
    for number in range(count):
        content = mutated(pictures, rng)
        file.write_bytes(content)
        became = worker.ask(str(file))
        yield became if became in ("ran", "refused") else Broken(number, became, content)
    worker.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Decodes mutated pictures.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    outcomes = fuzz(count=arguments.count, seed=arguments.seed, folder=FOLDER)
    return report(outcomes, seed=arguments.seed, suffix=".picture")


if __name__ == "__main__":
    sys.exit(main())
