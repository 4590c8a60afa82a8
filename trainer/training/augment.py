"""Random changes to training pictures: batches of uint8 pixels in, the network's normalized input out.

All geometry (turn, zoom, shift, mirror) is composed into one projective transform per picture, so each picture is
resampled once; colour changes are a few passes over the batch. It costs a small part of a training step on a CPU.
Every random number is drawn statelessly from a seed, so the same seed gives the same pictures on every run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.config import AugmentConfig

if TYPE_CHECKING:
    import tensorflow as tf


def normalize(images: tf.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tf.Tensor:
    """Pixels as the network takes them: ``(pixel - mean) / std``.

    Args:
        images: uint8 or float32 (N, height, width, 3) RGB, 0–255.
        mean: One value or one per channel, in pixel units.
        std: The same.

    Returns:
        float32 of the same shape.
    """
    import tensorflow as tf

    return (tf.cast(images, tf.float32) - tf.constant(mean, tf.float32)) / tf.constant(std, tf.float32)


def augment(images: tf.Tensor, seed: tf.Tensor, config: AugmentConfig, *, size: int = 0) -> tf.Tensor:
    """Changes each picture of a batch at random.

    Args:
        images: uint8 or float32 (N, height, width, 3) RGB, 0–255.
        seed: int32 or int64 (2,): the run's seed and the number of the batch.
        config: How strongly.
        size: Height and width of the result, made in the same resampling; 0: as they are.

    Returns:
        float32 (N, height, width, 3) or (N, size, size, 3), 0–255.
    """
    import tensorflow as tf

    seeds = tf.random.split(seed, 2)
    height, width = (size, size) if size else images.shape[1:3]
    pixels = tf.cast(images, tf.float32)
    if _moves(config) or (height, width) != tuple(images.shape[1:3]):
        pixels = tf.raw_ops.ImageProjectiveTransformV3(
            images=pixels,
            transforms=_transforms(tf.shape(images)[0], images.shape[1:3], (height, width), seeds[0], config),
            output_shape=[height, width],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
        pixels.set_shape((images.shape[0], height, width, images.shape[3]))
    if config.brightness or config.contrast or config.saturation:
        pixels = tf.clip_by_value(_recolor(pixels, seeds[1], config), 0.0, 255.0)
    return pixels


def changes_pictures(config: AugmentConfig) -> bool:
    """Whether any picture is changed at all; without, the same picture comes in every epoch."""
    return _moves(config) or bool(config.brightness or config.contrast or config.saturation)


def _moves(config: AugmentConfig) -> bool:
    return bool(config.rotation or config.shift or config.flip or config.scale != (1.0, 1.0))


def _transforms(
    count: tf.Tensor, source: tuple[int, int], target: tuple[int, int], seed: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """(count, 8) projective transforms that take the result's points (x, y) to the picture's points.

    A window of the picture, ``1 / scale`` of its sides, lies anywhere inside it, and is turned, mirrored and shifted.
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


def _recolor(pixels: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Brightness, contrast about the picture's mean and saturation about its grey, in one affine step per channel."""
    import tensorflow as tf

    draw = tf.random.stateless_uniform([3, tf.shape(pixels)[0], 1, 1, 1], seed, -1.0, 1.0)
    contrast = 1.0 + config.contrast * draw[1]
    if config.saturation:
        grey = tf.reduce_mean(pixels, axis=3, keepdims=True)
        saturation = 1.0 + config.saturation * draw[2]
        pixels = saturation * pixels + (1.0 - saturation) * grey
    mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
    return contrast * pixels + ((1.0 - contrast) * mean + 255.0 * config.brightness * draw[0])
