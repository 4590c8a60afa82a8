"""Finds pictures that show too little: blank, dark, washed out, blurred or tiny ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.data.images import ImageFacts

FAULTS = ("blank", "dark", "bright", "blurred", "tiny")
"""Kinds of faults, the worst first."""

_BLANK = 4.0  # grey levels of contrast: a lens cap, a wall
_DARK = 55.0  # nothing is lighter
_BRIGHT = 225.0  # nothing is darker
_BLURRED = 0.25  # of `Measures.sharpness`: at 256 pixels, edges are four pixels wide
_TINY = 0.5  # of the network's input


@dataclass(frozen=True)
class Fault:
    """A picture that shows too little.

    Attributes:
        kind: One of `FAULTS`.
        path: Of the picture.
        value: What was measured: contrast, the lightest or the darkest grey level, sharpness, or the shorter side in
            pixels.
    """

    kind: str
    path: str
    value: float


def faults_of(path: str, facts: ImageFacts, input_size: int) -> Iterator[Fault]:
    """What is wrong with one picture; of its light and sharpness at most one thing.

    Args:
        path: Of the picture.
        facts: With measures.
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
