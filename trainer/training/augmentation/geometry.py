"""Turn, zoom, shift and mirror, composed into one projective transform per picture, which is resampled once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.config import AugmentConfig


def moves(config: AugmentConfig) -> bool:
    """Whether anything comes to lie elsewhere."""
    return bool(config.rotation or config.shift or config.flip or config.scale != (1.0, 1.0))


def resample(pixels: tf.Tensor, transforms: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Pictures as transforms see them, bilinear, mirrored beyond their edges.

    Args:
        pixels: float32 (N, height, width, 3).
        transforms: float32 (N, 8), projective, from the result's points (x, y) to the picture's.
        size: Height and width of the result.
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
    """(count, 8) projective transforms that take the result's points (x, y) to the picture's points.

    A window of the picture, ``1 / scale`` of its sides, lies anywhere inside it, and is turned, mirrored and shifted.

    Args:
        count: Of the pictures.
        source: Height and width of the pictures.
        target: Height and width of the result.
        seed: Of the draws.
        config: How far.
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
