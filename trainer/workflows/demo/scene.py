"""Draws a handwritten character on a sheet of paper on a table, as a cheap camera would see it.

Everything lies in one plane, measured in heights of the character, and is brought into the picture by one homography
(a pinhole camera turned a little). Light, lens and sensor follow in the order in which a real camera has them:
shading and shadow, blur, exposure and colour cast, shot and read noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from trainer.workflows.demo.sheet import Sheet, cloud, color_planes, noise_stock

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

_TABLES = 20
_TABLE_PIXELS = 96  # of a table's texture, for each unit of the plane
_FOCAL = 4.0  # distance of the camera, in units of the plane


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
        warped = cv2.warpPerspective(sheet.texture, camera @ _placed(sheet), (width, height), flags=cv2.INTER_LINEAR)
        planes = _planes(warped)
        alpha = planes[3] * np.float32(1 / 255)
        scene *= 1 - 0.45 * _cast_shadow(alpha, view, height)
        scene += (planes[:3] - scene) * alpha
    scene *= _shade(view, height, width) * np.float32(view.exposure)
    scene *= color_planes(view.cast)
    _blur(scene, view, height)
    grain = _grain(rng, height, width)
    sigma = np.sqrt(np.maximum(scene, 0) * (0.8 / 128) + 0.2) * np.float32(view.noise)  # shot and read noise
    scene += sigma * (0.8 * grain[3] + 0.6 * grain[:3])
    # A camera's tone curve rolls off towards white instead of clipping.
    over = np.clip(scene - 200, 0, 110)
    picture: NDArray[np.uint8] = cv2.merge(
        list(np.clip(scene - over * over * (1 / 220) + 0.5, 0, 255).astype(np.uint8))
    )
    return picture


def drifting(view: View, rng: Generator, *, seconds: float, rate: int) -> list[View]:
    """The view of each frame of a hand-held camera, from slow swings, a tremor, and light that comes and goes."""
    import numpy as np

    time = np.arange(int(seconds * rate)) / rate

    def swing(amount: float, *periods: float) -> NDArray[np.float64]:
        waves = [np.sin(2 * np.pi * (time / period + rng.random())) for period in periods]
        mean: NDArray[np.float64] = amount * np.sum(waves, axis=0) / len(waves)
        return mean

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


def _grain(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Independent noise for each pixel: (4, height, width)."""
    import numpy as np

    noise = noise_stock()
    if height >= noise.shape[1] or width >= noise.shape[2]:
        return rng.standard_normal((4, height, width), dtype=np.float32)
    top, left = rng.integers(noise.shape[1] - height), rng.integers(noise.shape[2] - width)
    return noise[:, top : top + height, left : left + width]


def _planes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """From uint8 (H, W, channels) to float32 (channels, H, W)."""
    import cv2
    import numpy as np

    return np.array(cv2.split(picture), np.float32)


@lru_cache(maxsize=_TABLES)
def _table_texture(number: int) -> NDArray[np.uint8]:
    """One of the tables: wood in several tones, laminate, a cutting mat, cloth. uint8 BGR."""
    import cv2
    import numpy as np

    rng = np.random.default_rng((20, number))
    rows, columns = 5 * _TABLE_PIXELS, 6 * _TABLE_PIXELS
    grain = cloud(rng, rows, columns, cells=90)
    kind = ("wood", "wood", "wood", "plain", "mat", "cloth")[number % 6]
    if kind == "wood":
        dark, light = _WOODS[number % len(_WOODS)]
        warp = cv2.resize(cloud(rng, 24, 6, cells=3), (columns, rows), interpolation=cv2.INTER_CUBIC)
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
        texture += 3 * grain[:, :, None] + 4 * cloud(rng, rows, columns, cells=5)[:, :, None]
        if kind == "mat":
            for at in range(10, max(rows, columns), 36):
                texture[at : at + 1] += 38
                texture[:, at : at + 1] += 38
        if kind == "cloth":
            weave = np.add.outer(np.arange(rows) % 4 < 2, np.arange(columns) % 4 < 2) % 2
            texture += 12 * weave[:, :, None] - 6 + 7 * rng.standard_normal((rows, columns, 1), dtype=np.float32)
    pixels: NDArray[np.uint8] = np.clip(texture, 0, 255).astype(np.uint8)
    return pixels


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
        1 / _TABLE_PIXELS, rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), 90 * rng.integers(2) + rng.normal(0, 8)
    )
    middle = np.array([[1, 0, -texture.shape[1] / 2], [0, 1, -texture.shape[0] / 2], [0, 0, 1]])
    picture = cv2.warpPerspective(
        texture, camera @ placed @ middle, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return _planes(picture)


def _similarity(scale: float, x: float, y: float, turn: float) -> NDArray[np.float64]:
    import numpy as np

    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def _placed(sheet: Sheet) -> NDArray[np.float64]:
    """From the sheet's texture to the plane."""
    import numpy as np

    rows, columns = sheet.texture.shape[:2]
    middle = np.array([[1, 0, -columns / 2], [0, 1, -rows / 2], [0, 0, 1]])
    placed: NDArray[np.float64] = _similarity(1 / sheet.pixels_per_unit, sheet.x, sheet.y, sheet.turn) @ middle
    return placed


def _homography(view: View, height: int, width: int) -> NDArray[np.float64]:
    """From the plane to the picture: a pinhole camera (Hartley & Zisserman, 2004, 8.1)."""
    import numpy as np

    pitch, yaw = np.radians(view.pitch), np.radians(view.yaw)
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    turned = about_x @ about_y @ _similarity(1, 0, 0, view.roll)
    turned[:, 2] = (0, 0, _FOCAL)
    focal = view.zoom * height * _FOCAL
    lens = np.array([[focal, 0, width / 2 + view.x * height], [0, focal, height / 2 + view.y * height], [0, 0, 1]])
    camera: NDArray[np.float64] = lens @ turned
    return camera


def _cast_shadow(alpha: NDArray[np.float32], view: View, height: int) -> NDArray[np.float32]:
    """The soft shadow of a sheet on what lies below it, away from the light."""
    import cv2
    import numpy as np

    away = np.radians(view.light + 180)
    shift = np.array([[1, 0, 0.012 * height * np.cos(away)], [0, 1, 0.012 * height * np.sin(away)]])
    moved = cv2.warpAffine(alpha, shift, alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    soft: NDArray[np.float32] = cv2.GaussianBlur(moved, (0, 0), 0.014 * height)
    return soft


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


def _blur(scene: NDArray[np.float32], view: View, height: int) -> None:
    """The lens and the movement while the shutter is open; in place, plane by plane."""
    import cv2

    kernel = _motion_kernel(view, height)
    sigma = max(0.3, view.defocus / 1000 * height)
    for plane in scene:
        plane[:] = cv2.GaussianBlur(plane, (0, 0), sigma)
        if kernel.size > 1:
            plane[:] = cv2.filter2D(plane, -1, kernel)


def _motion_kernel(view: View, height: int) -> NDArray[np.float32]:
    import numpy as np

    length = view.motion / 1000 * height
    if length <= 1:
        return np.ones((1, 1), np.float32)
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    angle = np.radians(view.motion_angle)
    for offset in range(-half, half + 1):
        row, column = half + round(offset * np.sin(angle)), half + round(offset * np.cos(angle))
        kernel[row, column] += np.clip(length / 2 + 0.5 - abs(offset), 0, 1)
    even: NDArray[np.float32] = kernel / kernel.sum()
    return even
