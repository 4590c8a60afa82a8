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
_THUMB = 24  # pixels, either side of the one that decides whether two pictures are the same
_TILES = 4  # by as many


@dataclass(frozen=True)
class Measures:
    """Figures of one picture.

    Attributes:
        dhash: 64 bits, of neighbouring pixels the lighter one (the "dHash" of image search).
        thumb: uint8 (24, 24) grey, the whole picture, aspect ignored.
        sharpness: Variance of the Laplacian (Pech-Pacheco et al., 2000) over that of the pixels, in the sharpest parts;
            a picture of little contrast isn't taken for a blurred one.
        contrast: Standard deviation of the grey levels, 0–127.
        shadows: Grey level that 95% of the pixels don't reach, 0–255: a dark picture has nothing light in it.
        lights: Grey level that 95% of the pixels exceed.
    """

    dhash: int
    thumb: NDArray[np.uint8]
    sharpness: float
    contrast: float
    shadows: float
    lights: float


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
        shadows=float(high),
        lights=float(low),
    )


def _dhash(grey: NDArray[np.uint8]) -> int:
    import cv2
    import numpy as np

    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _sharpness(grey: NDArray[np.uint8]) -> float:
    import cv2
    import numpy as np

    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return float(edges.var() / max(float(grey.var()), 1.0))
