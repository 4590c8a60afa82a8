"""Finds low-quality photos: blank, dark, overexposed, blurred or tiny ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.data.images import ImageFacts

FAULTS = ("blank", "dark", "bright", "blurred", "tiny")
"""Kinds of faults, worst first."""

_BLANK = 4.0  # gray levels of contrast: a lens cap, a wall
_DARK = 55.0  # lightest gray level
_BRIGHT = 225.0  # darkest gray level
_BLURRED = 0.25  # `Measures.sharpness`; edges are four pixels wide at 256 pixels
_TINY = 0.5  # share of the network's input size


@dataclass(frozen=True)
class Fault:
    """Low-quality photo.

    Attributes:
        kind: One of `FAULTS`.
        path: Path of the photo.
        value: Measured value: contrast (blank), lightest (dark) or darkest (bright) gray level, sharpness (blurred), or
            shorter side in pixels (tiny).
    """

    kind: str
    path: str
    value: float


def faults_of(path: str, facts: ImageFacts, input_size: int) -> Iterator[Fault]:
    """Yield the faults of one photo: at most one of light and sharpness, and tiny.

    Args:
        path: Path of the photo.
        facts: Facts about the photo; without measures there are no faults.
        input_size: Height and width of the network's input, in pixels.
    """
    measures = facts.measures
    if measures is None:
        return
    for kind, value, wrong in (
        ("blank", measures.contrast, measures.contrast < _BLANK),
        ("dark", measures.lightest, measures.lightest < _DARK),
        ("bright", measures.darkest, measures.darkest > _BRIGHT),
        ("blurred", measures.sharpness, measures.sharpness < _BLURRED),
    ):
        if wrong:
            yield Fault(kind, path, round(value, 3))
            break
    side = min(facts.height, facts.width)
    if side < _TINY * input_size:
        yield Fault("tiny", path, side)
