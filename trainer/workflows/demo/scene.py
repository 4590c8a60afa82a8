"""Draw a handwritten character on a sheet of paper on a table, as a cheap camera would see it.

Everything lies in one plane, measured in heights of the character, and enters the picture through one homography
(a pinhole camera turned a little). Light, lens and sensor follow in the order of a real camera: falloff and shadow,
exposure and color cast, defocus and motion blur, noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

_INKS = ((38, 32, 30), (96, 44, 28), (120, 58, 24), (52, 40, 44), (44, 36, 110), (40, 62, 34))  # BGR
_PAPERS = ((246, 248, 249), (238, 244, 247), (222, 238, 246), (214, 232, 244), (160, 226, 246))
_TABLES = (  # dark and light tone of the grain, BGR: woods, laminates, a cutting mat
    ((40, 66, 104), (84, 132, 178)),
    ((28, 40, 62), (58, 82, 118)),
    ((98, 142, 176), (150, 190, 214)),
    ((70, 88, 104), (118, 138, 150)),
    ((52, 50, 48), (64, 62, 60)),
    ((144, 148, 150), (156, 160, 162)),
    ((66, 76, 30), (82, 94, 44)),
)
_TABLE_PIXELS = 96  # per unit of the plane
_FOCAL = 4.0  # distance from the camera to the plane, in units of the plane


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper with a character on it."""

    texture: NDArray[np.uint8]  # (height, width, 4) BGRA; alpha is the outline of the sheet
    pixels_per_unit: float  # of the texture
    x: float = 0.0  # position of the character in the plane
    turn: float = 0.0  # degrees


@dataclass(frozen=True)
class View:
    """Camera and light of one picture. Angles are in degrees, lengths in shares of the picture's height."""

    x: float = 0.0  # where the center of the plane appears, from the picture's center
    y: float = 0.0  # the same, downwards
    zoom: float = 0.68  # height of the character
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    light: float = 0.0  # direction that it comes from
    falloff: float = 0.2  # share of brightness lost across the picture
    shadow: float = 0.0  # share of brightness lost in the shadow
    shadow_at: float = 0.0  # position of its edge along the light
    exposure: float = 0.9  # brightness factor
    warmth: float = 0.0  # red gains this share, blue loses it
    defocus: float = 0.003  # standard deviation of the blur
    motion: float = 0.0  # length of the motion blur
    noise: float = 3.0  # standard deviation at mid gray, in gray levels


def random_view(rng: Generator) -> View:
    """Draw the view of a snapshot: the character in the middle third, upright within 15 degrees."""
    moved = rng.random() < 0.25
    return View(
        x=rng.uniform(-0.07, 0.07),
        y=rng.uniform(-0.06, 0.06),
        zoom=rng.uniform(0.58, 0.76),
        roll=rng.uniform(-15, 15),
        pitch=rng.uniform(-22, 22),
        yaw=rng.uniform(-22, 22),
        light=rng.uniform(0, 360),
        falloff=rng.uniform(0.05, 0.45),
        shadow=rng.uniform(0.15, 0.45) if rng.random() < 0.5 else 0.0,
        shadow_at=rng.uniform(-0.5, 0.5),
        exposure=rng.uniform(0.68, 1.02),
        warmth=rng.normal(0, 0.055),
        defocus=rng.uniform(0.0015, 0.004) if moved else rng.uniform(0.0015, 0.008),
        motion=rng.uniform(0.012, 0.032) if moved else 0.0,
        noise=rng.uniform(1, 4.5),
    )


def drifting(view: View, rng: Generator, time: NDArray[np.float64]) -> list[View]:
    """Move a view as a hand-held camera would: slow swings, a tremor, and light that comes and goes.

    The views are those at the times given, float64 (frames,) in seconds.
    """
    import numpy as np

    def swing(amount: float, *periods: float) -> NDArray[np.float64]:
        waves = [np.sin(2 * np.pi * (time / period + rng.random())) for period in periods]
        return np.asarray(amount * np.mean(waves, axis=0))

    x, y = swing(0.05, 3.1, 1.7) + swing(0.004, 0.23), swing(0.04, 2.6, 1.3) + swing(0.004, 0.19)
    path = {
        "x": x,
        "y": y,
        "zoom": view.zoom * (1 + swing(0.06, 4.1, 2.1)),
        "roll": view.roll + swing(7, 4.3, 1.9),
        "pitch": view.pitch + swing(10, 5.1, 2.3),
        "yaw": view.yaw + swing(10, 4.7, 2.9),
        "exposure": view.exposure * (1 + swing(0.08, 5.3, 1.1)),
        "shadow_at": view.shadow_at + swing(0.35, 6.1, 3.7),
        "defocus": view.defocus * (1 + swing(0.5, 3.3, 2.2)),
        "motion": np.hypot(np.gradient(x), np.gradient(y)) / 2,  # the shutter is open for half of the frame
    }
    return [replace(view, **{name: float(values[i]) for name, values in path.items()}) for i in range(len(time))]


def trace_strokes(scan: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find strokes of a pen that a coarse scan may have come from.

    Each cell of a scan tells which share of it was inked. Enlarging that and cutting it at half height closes the
    loops of small eights. So the outline is corrected until its own coverage of the cells equals the scan (iterative
    back-projection, Irani & Peleg, 1991).

    Args:
        scan: float32 (n, n), coverage 0–1.

    Returns:
        float32 (9 n, 9 n): the scan with a margin of a quarter on each side; ink is where it exceeds about a half.
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
    return np.asarray(cv2.GaussianBlur(guess, (0, 0), 2.0), np.float32)


def draw_sheet(strokes: NDArray[np.float32], rng: Generator, *, pixels_per_unit: int) -> Sheet:
    """Write a character on a sheet of its own with a felt pen.

    Args:
        strokes: float32 (n, n) from `trace_strokes`.
        rng: Chooses paper, ink and the width of the pen.
        pixels_per_unit: Height of the character on the texture, in pixels.
    """
    import cv2
    import numpy as np

    side = pixels_per_unit * 3 // 2
    rows, columns = (int(rng.integers(side, most * pixels_per_unit // 10)) for most in (21, 23))
    smooth = cv2.resize(strokes, (side, side), interpolation=cv2.INTER_CUBIC) + 0.03 * _cloud(rng, side, side, 30)
    ink = np.clip((smooth - rng.uniform(0.33, 0.41)) * 6 + 0.5, 0, 1) * (0.95 + 0.03 * _cloud(rng, side, side, 8))
    texture = np.full((rows, columns, 4), 255, np.float32)
    texture[:, :, :3] = _PAPERS[rng.integers(len(_PAPERS))]
    texture[:, :, :3] += 3 * _cloud(rng, rows, columns, 6)[:, :, None]
    top, left = (rows - side) // 2, (columns - side) // 2
    place = texture[top : top + side, left : left + side, :3]
    place += (np.array(_INKS[rng.integers(len(_INKS))]) - place) * np.clip(ink, 0, 1)[:, :, None]
    rim = max(1, pixels_per_unit // 60)  # transparent, so that the edge is smooth wherever it is sampled
    texture = cv2.copyMakeBorder(texture, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(255, 255, 255, 0))
    return Sheet(np.clip(texture, 0, 255).astype(np.uint8), float(pixels_per_unit))


def render(
    sheets: list[Sheet], view: View, rng: Generator, *, table: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Take the picture.

    Args:
        sheets: Sheets from the lowest to the topmost.
        view: Camera and light.
        rng: Draws the sensor noise.
        table: Number of the table, any integer.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    import cv2
    import numpy as np

    camera = _homography(view, height, width)
    turn, offset = (90 * (table % 2), (table % 5) / 5)
    ground = camera @ _placed(_table_texture(table % len(_TABLES)), _TABLE_PIXELS, offset, -offset, turn)
    scene = cv2.warpPerspective(
        _table_texture(table % len(_TABLES)), ground, (width, height), borderMode=cv2.BORDER_REFLECT_101
    ).astype(np.float32)
    for sheet in sheets:
        onto = camera @ _placed(sheet.texture, sheet.pixels_per_unit, sheet.x, 0, sheet.turn)
        paper = cv2.warpPerspective(sheet.texture, onto, (width, height)).astype(np.float32)
        scene += (paper[:, :, :3] - scene) * (paper[:, :, 3:] / 255)
    cast = np.array([1 - view.warmth, 1, 1 + view.warmth], np.float32)
    scene *= view.exposure * cast * _shade(view, height, width)[:, :, None]
    scene = cv2.GaussianBlur(scene, (0, 0), max(0.3, view.defocus * height))
    if (length := round(view.motion * height)) > 1:
        scene = cv2.filter2D(scene, -1, np.eye(length, dtype=np.float32) / length)
    sigma = view.noise * np.sqrt(np.maximum(scene, 0) * (0.8 / 128) + 0.2)  # shot and read noise
    scene += sigma * rng.standard_normal(scene.shape, dtype=np.float32)
    over = np.clip(scene - 200, 0, 110)  # the tone curve of a camera rolls off towards white instead of clipping
    return np.asarray(np.clip(scene - over * over / 220 + 0.5, 0, 255), np.uint8)


def _cloud(rng: Generator, rows: int, columns: int, cells: int) -> NDArray[np.float32]:
    """Return smooth noise (rows, columns) of about unit variance, with that many cells across."""
    import cv2
    import numpy as np

    noise = rng.standard_normal((max(2, cells * rows // columns), cells), dtype=np.float32)
    return np.asarray(cv2.resize(noise, (int(columns), int(rows)), interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=len(_TABLES))
def _table_texture(number: int) -> NDArray[np.uint8]:
    """Return one of the table tops, uint8 (rows, columns, 3) BGR: grain between a dark and a light tone."""
    import numpy as np

    rng = np.random.default_rng((20, number))
    rows, columns = 5 * _TABLE_PIXELS, 6 * _TABLE_PIXELS
    rings = np.sin(np.arange(rows, dtype=np.float32)[:, None] / 15 + 5 * _cloud(rng, rows, columns, 3))
    tone = 0.5 + 0.25 * rings + 0.1 * _cloud(rng, rows, columns, 90)
    for at in range(0, rows, int(rng.integers(110, 190))):  # seams between planks
        tone[at : at + 2] -= 0.7
    dark, light = (np.array(color, np.float32) for color in _TABLES[number])
    return np.asarray(np.clip(dark + (light - dark) * tone[:, :, None], 0, 255), np.uint8)


def _placed(texture: NDArray[np.uint8], pixels_per_unit: float, x: float, y: float, turn: float) -> NDArray[np.float64]:
    """Return the 3×3 map from a texture's pixels to the plane, its center at (x, y)."""
    import cv2
    import numpy as np

    center = np.array([texture.shape[1] / 2, texture.shape[0] / 2])
    placed = cv2.getRotationMatrix2D(center, -turn, 1 / pixels_per_unit)
    placed[:, 2] += (x, y) - center
    return np.vstack([placed, (0, 0, 1)])


def _homography(view: View, height: int, width: int) -> NDArray[np.float64]:
    """Return the 3×3 map from the plane to the picture: a pinhole camera (Hartley & Zisserman, 2004, 8.1)."""
    import cv2
    import numpy as np

    turned, _ = cv2.Rodrigues(np.radians([view.pitch, view.yaw, view.roll]))
    turned[:, 2] = (0, 0, _FOCAL)
    focal = view.zoom * height * _FOCAL
    lens = np.array([[focal, 0, width / 2 + view.x * height], [0, focal, height / 2 + view.y * height], [0, 0, 1]])
    return np.asarray(lens @ turned)


def _shade(view: View, height: int, width: int) -> NDArray[np.float32]:
    """Return brightness factors (height, width): falloff of the light, the lens's vignette, a soft shadow."""
    import numpy as np

    rows = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / height
    columns = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / height
    along = columns * np.cos(np.radians(view.light)) + rows * np.sin(np.radians(view.light))
    inside = 1 / (1 + np.exp(-(along - view.shadow_at) / 0.035))
    shade = (1 + view.falloff * along - 0.14 * (rows**2 + columns**2)) * (1 - view.shadow * inside)
    return np.asarray(np.maximum(shade, 0.1), np.float32)
