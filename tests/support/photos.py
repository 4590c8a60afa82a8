"""Small pictures with something in them, for tests that look at pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def scene(number: int, *, height: int = 150, width: int = 200) -> NDArray[np.uint8]:
    """A sharp picture, uint8 (height, width, 3) BGR; another number, other things in it."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(60, 200, (4, 5, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        center = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, center, int(rng.integers(5, 30)), color, -1)
    return image


def save(path: Path, image: NDArray[np.uint8], *, quality: int = 92) -> Path:
    """Writes a picture in the format that its name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def photos(root: Path, counts: dict[str, int], *, start: int = 0) -> Path:
    """Class folders with as many different scenes as it says."""
    number = start
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            number += 1
            save(root / label / f"{index:02d}.jpg", scene(number))
    return root
