"""What a picture's pixels tell without a network: a fingerprint, how sharp it is, and how light.

All of it is measured on a small grey copy, so that a photo of 12 megapixels and its copy of 200 pixels come out alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 256  # pixels, the longer side of the copy
_THUMB = 32  # pixels, either side of the one that decides whether two pictures are the same
_REACH = 9  # pixels across which an edge's whole step is looked for


@dataclass(frozen=True)
class Measures:
    """Figures of one picture.

    Attributes:
        dhash: 64 bits, of neighbouring pixels the lighter one (the "dHash" of image search).
        thumb: uint8 (32, 32) grey, the whole picture, aspect ignored.
        sharpness: Of the sharpest edges, the Laplacian over the step between light and dark, 0.4 and more where they
            are a pixel wide, 0.1 where blur has spread them over five.
        contrast: Standard deviation of the grey levels, 0–127.
        darkest: Grey level that 95% of the pixels exceed, 0–255.
        lightest: Grey level that 95% of the pixels don't reach, 0–255.
    """

    dhash: int
    thumb: NDArray[np.uint8]
    sharpness: float
    contrast: float
    darkest: float
    lightest: float


def measure(pixels: NDArray[np.uint8]) -> Measures:
    """Measures a picture.

    Args:
        pixels: uint8 (H, W, 3) RGB, 0–255.
    """
    import cv2
    import numpy as np

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if max(height, width) > _SIDE:
        factor = _SIDE / max(height, width)
        grey = cv2.resize(
            grey, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
        )
    low, high = np.percentile(grey, (5, 95))
    return Measures(
        dhash=_dhash(grey),
        thumb=cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA),
        sharpness=_sharpness(grey),
        contrast=float(grey.std()),
        darkest=float(low),
        lightest=float(high),
    )


def _dhash(grey: NDArray[np.uint8]) -> int:
    import cv2
    import numpy as np

    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """The usual variance of the Laplacian tells a sharp photo of a sheet of paper from a blurred one of a bush no
    better than chance: it depends on how much there is to see. This compares edges with themselves."""
    import cv2
    import numpy as np

    edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    around = np.ones((_REACH, _REACH), np.uint8)
    steps = cv2.dilate(grey, around) - cv2.erode(grey, around)
    return float(np.percentile(edges, 99.5) / max(float(np.percentile(steps, 99.5)), 1.0))
