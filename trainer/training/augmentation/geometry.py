"""Rotation, zoom, shift and mirroring, composed into one transform per picture, so that each is resampled once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.config import AugmentConfig


def moves(config: AugmentConfig) -> bool:
    """Whether any geometric change is enabled."""
    return bool(config.rotation or config.shift or config.flip or config.scale != (1.0, 1.0))


def resample(pixels: tf.Tensor, transforms: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Transform pictures with bilinear interpolation; beyond their edges they are mirrored.

    Args:
        pixels: float32 (N, height, width, 3).
        transforms: Projective transforms, float32 (N, 8), from points (x, y) of the result to points of the picture.
        size: Height and width of the result.

    Returns:
        float32 (N, *size, 3).
    """
    import tensorflow as tf

    result = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=transforms,
        output_shape=list(size),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    result.set_shape((pixels.shape[0], *size, pixels.shape[3]))
    return result


def random_transforms(
    count: tf.Tensor, source: tuple[int, int], target: tuple[int, int], seed: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """Draw projective transforms, float32 (count, 8), from points (x, y) of the result to points of the picture.

    A window with ``1 / scale`` of the picture's sides is placed anywhere inside it, then rotated, mirrored and shifted.

    Args:
        count: Number of pictures.
        source: Height and width of the pictures.
        target: Height and width of the result.
        seed: Seed of the random draws, int (2,).
        config: Ranges of rotation, scale and shift, and whether to mirror.
    """
    import tensorflow as tf

    (height, width), (rows, columns) = source, target
    draw = tf.random.stateless_uniform([5, count], seed, -1.0, 1.0)
    smallest, largest = 1.0 / config.scale[1], 1.0 / config.scale[0]
    window = smallest + (largest - smallest) * (draw[0] + 1.0) / 2.0
    offset = tf.maximum(1.0 - window, 0.0) / 2.0
    angle = draw[1] * math.radians(config.rotation)
    mirror = tf.where(draw[2] < 0.0, -1.0, 1.0) if config.flip else tf.ones_like(window)
    step_x, step_y = window * width / columns, window * height / rows
    a, b = mirror * step_x * tf.cos(angle), -mirror * step_x * tf.sin(angle)
    c, d = step_y * tf.sin(angle), step_y * tf.cos(angle)
    middle_x, middle_y = (columns - 1) / 2.0, (rows - 1) / 2.0
    x = (width - 1) / 2.0 + draw[3] * (offset + config.shift) * width
    y = (height - 1) / 2.0 + draw[4] * (offset + config.shift) * height
    zeros = tf.zeros_like(window)
    return tf.stack(
        [a, b, x - a * middle_x - b * middle_y, c, d, y - c * middle_x - d * middle_y, zeros, zeros], axis=1
    )
