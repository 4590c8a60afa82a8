"""Measures of a picture without a network: a fingerprint, sharpness, contrast and brightness.

They are taken on a small gray copy, so that a 12-megapixel photo and a 200-pixel copy of it give similar values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 256  # longer side of the copy, in pixels
_THUMB = 32  # side of the thumbnail that tells near-duplicates, in pixels
_REACH = 9  # window for the full step of an edge, in pixels


@dataclass(frozen=True)
class Measures:
    """Measures of one picture.

    Attributes:
        dhash: 64-bit perceptual hash that compares neighboring pixels ("dHash").
        thumb: uint8 (32, 32) gray, 0–255: the whole picture, stretched to a square.
        sharpness: Ratio of the Laplacian to the step between light and dark at the sharpest edges: 0.4 and more if
            they are a pixel wide, 0.1 if blur spreads them over five.
        contrast: Standard deviation of the gray levels, 0–127.
        darkest: 5th percentile of the gray levels, 0–255.
        lightest: 95th percentile of the gray levels, 0–255.
    """

    dhash: int
    thumb: NDArray[np.uint8]
    sharpness: float
    contrast: float
    darkest: float
    lightest: float


def measure(pixels: NDArray[np.uint8]) -> Measures:
    """Measure a picture.

    Args:
        pixels: uint8 (H, W, 3) RGB, 0–255.
    """
    import cv2
    import numpy as np

    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    if max(height, width) > _SIDE:
        factor = _SIDE / max(height, width)
        gray = cv2.resize(
            gray, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
    low, high = np.percentile(gray, (5, 95))
    return Measures(
        dhash=_dhash(gray),
        thumb=cv2.resize(gray, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA),
        sharpness=_sharpness(gray),
        contrast=float(gray.std()),
        darkest=float(low),
        lightest=float(high),
    )


def _dhash(gray: NDArray[np.uint8]) -> int:
    import cv2
    import numpy as np

    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _sharpness(gray: NDArray[np.uint8]) -> float:
    """Compare edges with their own steps. The usual variance of the Laplacian depends on the amount of detail, so it
    can't tell a sharp photo of a sheet of paper from a blurred photo of a bush."""
    import cv2
    import numpy as np

    edges = np.abs(cv2.Laplacian(gray, cv2.CV_32F))
    around = np.ones((_REACH, _REACH), np.uint8)
    steps = cv2.dilate(gray, around) - cv2.erode(gray, around)
    return float(np.percentile(edges, 99.5) / max(float(np.percentile(steps, 99.5)), 1.0))
