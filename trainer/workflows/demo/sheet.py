"""Writes characters on sheets of paper with a felt pen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

_INKS = ((38, 32, 30), (96, 44, 28), (120, 58, 24), (52, 40, 44), (44, 36, 110), (40, 62, 34))  # BGR
_PAPERS = ((246, 248, 249), (238, 244, 247), (222, 238, 246), (214, 232, 244), (160, 226, 246))


@dataclass(frozen=True)
class Sheet:
    """A sheet with a character on it.

    Attributes:
        texture: uint8 (h, w, 4) BGRA; alpha is the sheet's outline.
        pixels_per_unit: Of the texture.
        x: Where the character's middle lies in the plane.
        y: The same, downwards.
        turn: Degrees.
    """

    texture: NDArray[np.uint8]
    pixels_per_unit: float
    x: float = 0.0
    y: float = 0.0
    turn: float = 0.0


def trace_strokes(scan: NDArray[np.float32]) -> NDArray[np.float32]:
    """Finds strokes of a pen that a coarse scan may have come from.

    Each cell of a scan tells which share of it was inked. Enlarging that and cutting it at half height closes the
    loops of small eights; so the outline is corrected until its own coverage of the cells is the scan's (iterative
    back-projection, Irani & Peleg, 1991).

    Args:
        scan: float32 (n, n), coverage 0–1.

    Returns:
        float32 (9 n, 9 n): the scan with a margin of a quarter on each side; ink is where it is above a half, about.
    """
    import cv2
    import numpy as np

    cells = np.pad(scan, len(scan) // 4)
    small, large = cells.shape, (6 * cells.shape[0], 6 * cells.shape[1])
    guess = cv2.resize(cells, large, interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        smooth = cv2.GaussianBlur(guess, (0, 0), 2.0)
        covered = cv2.resize(np.clip(smooth * 3 - 1, 0, 1), small, interpolation=cv2.INTER_AREA)
        guess += cv2.resize(cells - covered, large, interpolation=cv2.INTER_CUBIC)
    outline: NDArray[np.float32] = cv2.GaussianBlur(guess, (0, 0), 2.0)
    return outline


def draw_sheet(strokes: NDArray[np.float32], rng: Generator, *, pixels_per_unit: int) -> Sheet:
    """Writes a character on a sheet of its own.

    Args:
        strokes: From `trace_strokes`.
        rng: Chooses paper, ink and the character of the pen.
        pixels_per_unit: Size of the character on the sheet's texture.
    """
    import cv2
    import numpy as np

    width, height = rng.uniform(1.5, 2.3), rng.uniform(1.5, 2.1)
    rows, columns = int(height * pixels_per_unit), int(width * pixels_per_unit)
    paper = np.empty((4, rows, columns), np.float32)  # planes: numpy is slow where the last axis has three entries
    paper[:3] = color_planes(_PAPERS[rng.integers(len(_PAPERS))])
    paper[:3] += cloud(rng, rows, columns, cells=40) * 1.5 + cloud(rng, rows, columns, cells=4) * 3
    _rule(paper[:3], rng, pixels_per_unit)

    ink = _ink(strokes, rng, pixels_per_unit)
    top, left = (rows - ink.shape[0]) // 2, (columns - ink.shape[1]) // 2
    place = paper[:3, top : top + ink.shape[0], left : left + ink.shape[1]]
    place += (color_planes(_INKS[rng.integers(len(_INKS))]) - place) * ink

    rim = max(1, pixels_per_unit // 60)  # clear, so that the edge is smooth wherever it is sampled
    paper[3] = 0
    paper[3, rim:-rim, rim:-rim] = 255
    return Sheet(cv2.merge(list(np.clip(paper, 0, 255).astype(np.uint8))), float(pixels_per_unit))


def _ink(strokes: NDArray[np.float32], rng: Generator, size: int) -> NDArray[np.float32]:
    """Coverage with ink, 0–1: uneven at the edge and along the stroke, as paper takes it from a felt pen."""
    import cv2
    import numpy as np

    side = size * 3 // 2
    smooth = cv2.resize(strokes, (side, side), interpolation=cv2.INTER_CUBIC)
    smooth += 0.03 * cloud(rng, side, side, cells=30)
    edge = np.clip((smooth - rng.uniform(0.33, 0.41)) * 6 + 0.5, 0, 1)
    edge *= edge * (3 - 2 * edge)
    flow = 0.95 + 0.03 * cloud(rng, side, side, cells=8) + 0.02 * cloud(rng, side, side, cells=60)
    ink: NDArray[np.float32] = edge * np.clip(flow, 0.8, 1)
    return ink


def _rule(paper: NDArray[np.float32], rng: Generator, unit: int) -> None:
    """Prints nothing, lines or squares on the paper."""
    import numpy as np

    kind = ("plain", "plain", "lined", "squared")[rng.integers(4)]
    if kind == "plain":
        return
    step = unit * (rng.uniform(0.4, 0.55) if kind == "lined" else rng.uniform(0.24, 0.32))
    strength = rng.uniform(0.3, 0.6)
    color = color_planes((210, 178, 150) if rng.random() < 0.7 else (190, 190, 188))
    thick = max(1, round(unit / 70))
    for axis in (0, 1) if kind == "squared" else (0,):
        lines = paper if axis == 0 else paper.transpose(0, 2, 1)
        for at in np.arange(rng.uniform(0, step), lines.shape[1] - thick, step):
            band = lines[:, int(at) : int(at) + thick]
            band += (color - band) * strength


def cloud(rng: Generator, rows: int, columns: int, *, cells: int) -> NDArray[np.float32]:
    """Smooth noise of unit variance, about, with that many cells across."""
    import cv2

    how = cv2.INTER_CUBIC if cells < 20 else cv2.INTER_LINEAR  # no matter for fine grain, and faster
    down = max(2, cells * rows // columns)
    noise = noise_stock()
    top, left = rng.integers(noise.shape[1] - down), rng.integers(noise.shape[2] - cells)
    smooth: NDArray[np.float32] = cv2.resize(
        noise[0, top : top + down, left : left + cells], (columns, rows), interpolation=how
    )
    return smooth


@lru_cache(maxsize=1)
def noise_stock() -> NDArray[np.float32]:
    """A stock of normal noise to take windows from: drawing it anew for each picture takes half of the time."""
    import numpy as np

    return np.random.default_rng(19).standard_normal((4, 768, 768), dtype=np.float32)


def color_planes(values: Sequence[float]) -> NDArray[np.float32]:
    """Three channels, to be spread over planes."""
    import numpy as np

    return np.array(values, np.float32)[:, None, None]
