"""Changes real models at random and opens each: every one has to run or to be refused, in a few seconds and MiB.

    python -m tests.hostile.fuzz.models --count 100000 MODEL.tflite…

What broke the rule is kept in ``build/fuzz``. The same seed gives the same models.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edge_runtime.inference.interpreter import choose_backend
from edge_runtime.model.archive import find_zip
from tests.hostile.fuzz.outcome import FOLDER, Broken, report
from tests.hostile.fuzz.worker import Worker

MAX_S, MAX_MIB = 5.0, 300.0
_NUMBERS = (0, 1, 2, 3, 5, 255, 256, 65535, 2**31 - 1, 2**32 - 1)


@dataclass(frozen=True)
class Seed:
    """A real model to begin with.

    Attributes:
        content: Of the file, without what the trainer appended: its SHA-256 would find every change.
        classes: Number of its scores.
    """

    content: bytes
    classes: int

    @classmethod
    def read(cls, path: Path) -> Seed:
        content = path.read_bytes()
        interpreter = import_module(f"{choose_backend()[0]}.interpreter").Interpreter(model_path=str(path))
        classes = int(interpreter.get_output_details()[0]["shape"][-1])
        return cls(content[: find_zip(content, str(path)).start], classes)


def mutated(seeds: Sequence[Seed], rng: random.Random) -> Seed:
    """One of the models with flipped bits, overwritten numbers, swapped offsets, cut off, or with a part of another."""
    chosen = rng.choice(seeds)
    content = bytearray(chosen.content)

    def position() -> int:  # most of a file are weights, which can hold anything: tables stand at its ends
        reach = rng.choices((4_000, 60_000, len(content)), (35, 50, 15))[0]
        offset = rng.randrange(min(len(content), reach))
        return offset if reach == 4_000 else len(content) - 1 - offset

    kind = rng.choices(("bits", "numbers", "byte", "swap", "cut", "splice"), (45, 25, 10, 8, 6, 6))[0]
    if kind == "bits":
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            content[position()] ^= 1 << rng.randrange(8)
    elif kind == "numbers":
        for _ in range(rng.choice((1, 1, 2, 3))):
            at, number = position() & ~3, rng.choice((*_NUMBERS, rng.randrange(2**32), rng.randrange(200)))
            content[at : at + 4] = struct.pack("<I", number)
    elif kind == "byte":
        content[position()] = rng.randrange(256)
    elif kind == "swap":
        one, other = position() & ~3, position() & ~3
        content[one : one + 4], content[other : other + 4] = content[other : other + 4], content[one : one + 4]
    elif kind == "cut":
        del content[rng.randrange(len(content)) :]
    else:
        donor, length = rng.choice(seeds).content, rng.randrange(1, 400)
        start, at = rng.randrange(max(1, len(donor) - length)), rng.randrange(len(content))
        content[at : at + length] = donor[start : start + length]
    return Seed(bytes(content), chosen.classes)


def fuzz(seeds: Sequence[Seed], *, count: int, seed: int, folder: Path) -> Iterator[str | Broken]:
    """Opens mutated models one after the other.

    Args:
        seeds: Real models.
        count: How many are made of them.
        seed: Of the mutations.
        folder: For the file that is being opened.

    Yields:
        ``"ran"``, ``"refused"`` or what is wrong.
    """
    rng, file = random.Random(seed), folder / "mutated.tflite"
    worker = Worker("tests.hostile.fuzz.model_worker", max_s=MAX_S, max_mib=MAX_MIB)
    for number in range(count):
        model = mutated(seeds, rng)
        file.write_bytes(model.content)
        became = worker.ask(f"{model.classes} {file}")
        yield became if became in ("ran", "refused") else Broken(number, became, model.content)
    worker.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Opens mutated models.")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    seeds = [Seed.read(path) for path in arguments.models]
    outcomes = fuzz(seeds, count=arguments.count, seed=arguments.seed, folder=FOLDER)
    return report(outcomes, seed=arguments.seed, suffix=".tflite")


if __name__ == "__main__":
    sys.exit(main())
