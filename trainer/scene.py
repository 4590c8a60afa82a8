"""Draws a handwritten character on a sheet of paper on a table, as a cheap camera would see it.

Everything lies in one plane, measured in heights of the character, and is brought into the picture by one homography
(a pinhole camera turned a little). Light, lens and sensor follow in the order in which a real camera has them:
shading and shadow, blur, exposure and colour cast, shot and read noise.
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
_TABLES = 20
_TABLE_PIXELS = 96  # of a table's texture, for each unit of the plane
_FOCAL = 4.0  # distance of the camera, in units of the plane


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


@dataclass(frozen=True)
class View:
    """The camera and the light of one picture.

    Attributes:
        x: Where the middle of the plane appears, from the middle of the picture, in shares of its height.
        y: The same, downwards.
        zoom: Height of the character as a share of the picture's.
        roll: Degrees.
        pitch: Degrees, the plane leaning back.
        yaw: Degrees, the plane turned aside.
        light: Direction that the light comes from, degrees.
        falloff: Share of brightness lost across the picture.
        shadow: Share of brightness lost in the shadow of somebody's arm.
        shadow_at: Where its edge is, in picture heights from the middle.
        shadow_angle: Direction of the edge, degrees.
        exposure: Factor.
        cast: Factors for blue, green, red.
        defocus: Standard deviation of the blur, in thousandths of the picture's height.
        motion: Length of the motion blur, in the same unit.
        motion_angle: Degrees.
        noise: Of the sensor, standard deviation at mid grey, in grey levels.
    """

    x: float = 0.0
    y: float = 0.0
    zoom: float = 0.68
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    light: float = 0.0
    falloff: float = 0.2
    shadow: float = 0.0
    shadow_at: float = 0.0
    shadow_angle: float = 0.0
    exposure: float = 0.9
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    defocus: float = 3.0
    motion: float = 0.0
    motion_angle: float = 0.0
    noise: float = 3.0


def random_view(rng: Generator) -> View:
    """A snapshot: the character in the middle third, upright within 15 degrees."""
    warmth = rng.normal(0, 0.055)
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
        shadow_angle=rng.uniform(0, 360),
        exposure=rng.uniform(0.68, 1.02),
        cast=(1 - warmth, 1 + rng.normal(0, 0.015), 1 + warmth),
        defocus=rng.uniform(1.5, 4) if moved else rng.uniform(1.5, 8),
        motion=rng.uniform(12, 32) if moved else 0.0,
        motion_angle=rng.uniform(0, 180),
        noise=rng.uniform(1, 4.5),
    )


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
    paper = np.empty((rows, columns, 3), np.float32)
    paper[:] = _PAPERS[rng.integers(len(_PAPERS))]
    paper += _cloud(rng, rows, columns, cells=40)[:, :, None] * 1.5
    paper += _cloud(rng, rows, columns, cells=4)[:, :, None] * 3
    _rule(paper, rng, pixels_per_unit)

    ink = _ink(strokes, rng, pixels_per_unit)
    top, left = (rows - ink.shape[0]) // 2, (columns - ink.shape[1]) // 2
    place = paper[top : top + ink.shape[0], left : left + ink.shape[1]]
    color = np.array(_INKS[rng.integers(len(_INKS))], np.float32)
    place += (color - place) * ink[:, :, None]

    texture = np.empty((rows, columns, 4), np.uint8)
    texture[:, :, :3] = np.clip(paper, 0, 255)
    texture[:, :, 3] = 255
    border = max(1, pixels_per_unit // 40)  # a clear rim, so that the edge is smooth wherever it is sampled
    for rim in (texture[:border], texture[-border:], texture[:, :border], texture[:, -border:]):
        rim[..., 3] = 0
    texture = cv2.blur(texture, (3, 3)) if border > 1 else texture
    return Sheet(texture, float(pixels_per_unit))


def render(
    sheets: list[Sheet], view: View, rng: Generator, *, table: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Takes the picture.

    Args:
        sheets: From the lowest to the topmost.
        view: Camera and light.
        rng: The sensor's noise.
        table: Which of the tables, any number.
        height: Of the picture.
        width: Of the picture.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    import cv2
    import numpy as np

    camera = _homography(view, height, width)
    scene = _draw_table(table, camera, height, width)
    for sheet in sheets:
        picture = cv2.warpPerspective(sheet.texture, camera @ _placed(sheet), (width, height), flags=cv2.INTER_LINEAR)
        alpha = picture[:, :, 3].astype(np.float32) * (1 / 255)
        scene *= 1 - 0.45 * _cast_shadow(alpha, view, height)[:, :, None]
        scene += (picture[:, :, :3] - scene) * alpha[:, :, None]
    scene *= _shade(view, height, width)[:, :, None] * (np.array(view.cast, np.float32) * np.float32(view.exposure))
    scene = _blur(scene, view, height)
    grain = _grain(rng, height, width)
    sigma = np.sqrt(np.maximum(scene, 0) * (0.8 / 128) + 0.2) * np.float32(view.noise)  # shot and read noise
    scene += sigma * (0.8 * grain[:, :, 3:] + 0.6 * grain[:, :, :3])
    # A camera's tone curve rolls off towards white instead of clipping.
    over = np.clip(scene - 200, 0, 110)
    return np.clip(scene - over * over * (1 / 220) + 0.5, 0, 255).astype(np.uint8)


def drifting(view: View, rng: Generator, *, seconds: float, rate: int) -> list[View]:
    """The view of each frame of a hand-held camera, from slow swings, a tremor, and light that comes and goes."""
    import numpy as np

    time = np.arange(int(seconds * rate)) / rate

    def swing(amount: float, *periods: float) -> NDArray[np.float64]:
        waves = [np.sin(2 * np.pi * (time / period + rng.random())) for period in periods]
        return amount * np.sum(waves, axis=0) / len(waves)

    x, y = swing(0.05, 3.1, 1.7) + swing(0.004, 0.23), swing(0.04, 2.6, 1.3) + swing(0.004, 0.19)
    speed = np.hypot(np.gradient(x), np.gradient(y)) * 1000
    heading = np.degrees(np.arctan2(np.gradient(y), np.gradient(x)))
    roll, pitch, yaw = swing(7, 4.3, 1.9), swing(10, 5.1, 2.3), swing(10, 4.7, 2.9)
    zoom, exposure = view.zoom * (1 + swing(0.06, 4.1, 2.1)), view.exposure * (1 + swing(0.08, 5.3, 1.1))
    shadow_at, focus = view.shadow_at + swing(0.35, 6.1, 3.7), view.defocus * (1 + swing(0.5, 3.3, 2.2))
    return [
        replace(
            view,
            x=x[i], y=y[i], zoom=zoom[i], roll=view.roll + roll[i], pitch=view.pitch + pitch[i],
            yaw=view.yaw + yaw[i], exposure=exposure[i], shadow_at=shadow_at[i], defocus=focus[i],
            motion=0.5 * speed[i], motion_angle=heading[i],  # the shutter is open for half of the frame
        )
        for i in range(len(time))
    ]  # fmt: skip


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
    return cv2.GaussianBlur(guess, (0, 0), 2.0)


def _ink(strokes: NDArray[np.float32], rng: Generator, size: int) -> NDArray[np.float32]:
    """Coverage with ink, 0–1: uneven at the edge and along the stroke, as paper takes it from a felt pen."""
    import cv2
    import numpy as np

    side = size * 3 // 2
    smooth = cv2.resize(strokes, (side, side), interpolation=cv2.INTER_CUBIC)
    smooth += 0.03 * _cloud(rng, side, side, cells=30)
    edge = np.clip((smooth - rng.uniform(0.33, 0.41)) * 6 + 0.5, 0, 1)
    edge *= edge * (3 - 2 * edge)
    flow = 0.95 + 0.03 * _cloud(rng, side, side, cells=8) + 0.02 * _cloud(rng, side, side, cells=60)
    return edge * np.clip(flow, 0.8, 1)


def _rule(paper: NDArray[np.float32], rng: Generator, unit: int) -> None:
    """Prints nothing, lines or squares on the paper."""
    import numpy as np

    kind = rng.choice(["plain", "plain", "lined", "squared"])
    if kind == "plain":
        return
    step = unit * (rng.uniform(0.4, 0.55) if kind == "lined" else rng.uniform(0.24, 0.32))
    strength = rng.uniform(0.3, 0.6)
    color = np.array((210, 178, 150) if rng.random() < 0.7 else (190, 190, 188), np.float32)
    thick = max(1, round(unit / 70))
    for axis in (0, 1) if kind == "squared" else (0,):
        lines = paper if axis == 0 else paper.transpose(1, 0, 2)
        for at in np.arange(rng.uniform(0, step), len(lines) - thick, step):
            band = lines[int(at) : int(at) + thick]
            band += (color - band) * strength


def _cloud(rng: Generator, rows: int, columns: int, *, cells: int) -> NDArray[np.float32]:
    """Smooth noise of unit variance, about, with that many cells across."""
    import cv2

    down = max(2, cells * rows // columns)
    noise = _noise()
    top, left = rng.integers(len(noise) - down), rng.integers(len(noise) - cells)
    return cv2.resize(noise[top : top + down, left : left + cells, 0], (columns, rows), interpolation=cv2.INTER_CUBIC)


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    """A stock of normal noise to take windows from: drawing it anew for each picture takes half of the time."""
    import numpy as np

    return np.random.default_rng(19).standard_normal((768, 768, 4), dtype=np.float32)


def _grain(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Independent noise for each pixel: (height, width, 4)."""
    noise = _noise()
    if height >= len(noise) or width >= len(noise):
        return rng.standard_normal((height, width, 4), dtype=np.float32)
    top, left = rng.integers(len(noise) - height), rng.integers(len(noise) - width)
    window = noise[top : top + height, left : left + width]
    return window


@lru_cache(maxsize=_TABLES)
def _table_texture(number: int) -> NDArray[np.uint8]:
    """One of the tables: wood in several tones, laminate, a cutting mat, cloth. uint8 BGR."""
    import cv2
    import numpy as np

    rng = np.random.default_rng((20, number))
    rows, columns = 5 * _TABLE_PIXELS, 6 * _TABLE_PIXELS
    grain = _cloud(rng, rows, columns, cells=90)
    kind = ("wood", "wood", "wood", "plain", "mat", "cloth")[number % 6]
    if kind == "wood":
        dark, light = _WOODS[number % len(_WOODS)]
        warp = cv2.resize(_cloud(rng, 24, 6, cells=3), (columns, rows), interpolation=cv2.INTER_CUBIC)
        fibres = cv2.resize(rng.standard_normal((rows // 2, 9), dtype=np.float32), (columns, rows))
        rings = np.sin(np.arange(rows, dtype=np.float32)[:, None] / 15 + 5 * warp)
        tone = 0.5 + 0.22 * rings + 0.13 * fibres + 0.03 * grain
        plank = rng.integers(110, 190)
        for at in range(int(rng.integers(0, plank)), rows, plank):
            tone[at : at + plank] += rng.normal(0, 0.12)
            tone[at : at + 2] -= 0.7
        tone = np.clip(tone, -0.3, 1.2)[:, :, None]
        texture = np.array(dark, np.float32) * (1 - tone) + np.array(light, np.float32) * tone
    else:
        base = {"plain": _PLAINS, "mat": _MATS, "cloth": _CLOTHS}[kind][number // 6 % 3]
        texture = np.empty((rows, columns, 3), np.float32)
        texture[:] = base
        texture += 3 * grain[:, :, None] + 4 * _cloud(rng, rows, columns, cells=5)[:, :, None]
        if kind == "mat":
            for at in range(10, max(rows, columns), 36):
                texture[at : at + 1] += 38
                texture[:, at : at + 1] += 38
        if kind == "cloth":
            weave = np.add.outer(np.arange(rows) % 4 < 2, np.arange(columns) % 4 < 2) % 2
            texture += 12 * weave[:, :, None] - 6 + 7 * rng.standard_normal((rows, columns, 1), dtype=np.float32)
    return np.clip(texture, 0, 255).astype(np.uint8)


_WOODS = (
    ((40, 66, 104), (84, 132, 178)),
    ((28, 40, 62), (58, 82, 118)),
    ((98, 142, 176), (150, 190, 214)),
    ((52, 84, 130), (112, 158, 196)),
    ((70, 88, 104), (118, 138, 150)),
)  # dark and light, BGR
_PLAINS = ((92, 88, 84), (150, 154, 156), (58, 54, 52))
_MATS = ((74, 84, 36), (92, 60, 40), (62, 62, 64))
_CLOTHS = ((112, 84, 62), (72, 66, 128), (120, 138, 150))


def _draw_table(number: int, camera: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    import cv2
    import numpy as np

    texture = _table_texture(number % _TABLES)
    rng = np.random.default_rng((21, number))
    placed = _similarity(
        1 / _TABLE_PIXELS, rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.choice([0, 90]) + rng.normal(0, 8)
    )
    middle = np.array([[1, 0, -texture.shape[1] / 2], [0, 1, -texture.shape[0] / 2], [0, 0, 1]])
    picture = cv2.warpPerspective(
        texture, camera @ placed @ middle, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return picture.astype(np.float32)


def _similarity(scale: float, x: float, y: float, turn: float) -> NDArray[np.float64]:
    import numpy as np

    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def _placed(sheet: Sheet) -> NDArray[np.float64]:
    """From the sheet's texture to the plane."""
    import numpy as np

    rows, columns = sheet.texture.shape[:2]
    middle = np.array([[1, 0, -columns / 2], [0, 1, -rows / 2], [0, 0, 1]])
    return _similarity(1 / sheet.pixels_per_unit, sheet.x, sheet.y, sheet.turn) @ middle


def _homography(view: View, height: int, width: int) -> NDArray[np.float64]:
    """From the plane to the picture: a pinhole camera (Hartley & Zisserman, 2004, 8.1)."""
    import numpy as np

    pitch, yaw = np.radians(view.pitch), np.radians(view.yaw)
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    turned = about_x @ about_y @ _similarity(1, 0, 0, view.roll)
    turned[:, 2] = (0, 0, _FOCAL)
    focal = view.zoom * height * _FOCAL
    lens = np.array(
        [[focal, 0, width / 2 + view.x * height], [0, focal, height / 2 + view.y * height], [0, 0, 1]]
    )
    return lens @ turned


def _cast_shadow(alpha: NDArray[np.float32], view: View, height: int) -> NDArray[np.float32]:
    """The soft shadow of a sheet on what lies below it, away from the light."""
    import cv2
    import numpy as np

    away = np.radians(view.light + 180)
    shift = np.array([[1, 0, 0.012 * height * np.cos(away)], [0, 1, 0.012 * height * np.sin(away)]])
    moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(moved, (0, 0), 0.014 * height)


def _shade(view: View, height: int, width: int) -> NDArray[np.float32]:
    """Brightness across the picture: falloff from the light, the lens's vignette, and a shadow's soft edge."""
    import numpy as np

    rows = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / height
    columns = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / height

    def along(angle: float) -> NDArray[np.float32]:
        return columns * np.float32(np.cos(np.radians(angle))) + rows * np.float32(np.sin(np.radians(angle)))

    shade = 1 + view.falloff * along(view.light)
    shade -= 0.14 * (rows * rows + columns * columns)
    if view.shadow:
        wavy = 0.03 * np.sin(9 * along(view.shadow_angle + 90))
        inside = 1 / (1 + np.exp(-(along(view.shadow_angle) + wavy - view.shadow_at) / 0.035))
        shade *= 1 - view.shadow * inside
    return np.maximum(shade, 0.1).astype(np.float32)


def _blur(scene: NDArray[np.float32], view: View, height: int) -> NDArray[np.float32]:
    import cv2
    import numpy as np

    if view.defocus > 0:
        scene = cv2.GaussianBlur(scene, (0, 0), max(0.3, view.defocus / 1000 * height))
    length = view.motion / 1000 * height
    if length > 1:
        half = int(np.ceil(length / 2))
        offsets = np.arange(-half, half + 1)
        weights = np.clip(length / 2 + 0.5 - np.abs(offsets), 0, 1)
        kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        angle = np.radians(view.motion_angle)
        for offset, weight in zip(offsets, weights, strict=True):
            kernel[half + round(offset * np.sin(angle)), half + round(offset * np.cos(angle))] += weight
        scene = cv2.filter2D(scene, -1, kernel / kernel.sum())
    return scene
