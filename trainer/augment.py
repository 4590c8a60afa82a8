"""Random changes to training pictures: batches of uint8 pixels in, the network's normalized input out.

All geometry (turn, zoom, shift, mirror) is composed into one projective transform per picture, so each picture is
resampled once; colour changes are a few passes over the batch. It costs a small part of a training step on a CPU.
Every random number is drawn statelessly from a seed, so the same seed gives the same pictures on every run.
"""

from __future__ import annotations

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


def augment(images: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Changes each picture of a batch at random.

    Args:
        images: uint8 or float32 (N, height, width, 3) RGB, 0–255.
        seed: int32 or int64 (2,): the run's seed and the number of the batch.
        config: How strongly.

    Returns:
        float32 of the same shape, 0–255.
    """
    import tensorflow as tf

    seeds = tf.random.split(seed, 2)
    pixels = tf.cast(images, tf.float32)
    shape = tf.shape(images)
    if _moves(config):
        transforms = _transforms(shape[0], shape[1], shape[2], seeds[0], config)
        pixels = tf.raw_ops.ImageProjectiveTransformV3(
            images=pixels,
            transforms=transforms,
            output_shape=shape[1:3],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
        pixels.set_shape(images.shape)
    if config.brightness or config.contrast or config.saturation:
        pixels = tf.clip_by_value(_recolor(pixels, seeds[1], config), 0.0, 255.0)
    return pixels


def _moves(config: AugmentConfig) -> bool:
    return bool(config.rotation or config.shift or config.flip or config.scale != (1.0, 1.0))


def _transforms(
    count: tf.Tensor, height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """(count, 8) projective transforms that take output points to input points, about the picture's centre."""
    import math

    import tensorflow as tf

    draw = tf.random.stateless_uniform([6, count], seed, -1.0, 1.0)
    angle = draw[0] * math.radians(config.rotation)
    low, high = (math.log(bound) for bound in config.scale)  # as often twice as large as half as large
    zoom = tf.exp(-(low + high + (high - low) * draw[1]) / 2.0)
    mirror = tf.where(draw[2] < 0.0, -1.0, 1.0) if config.flip else tf.ones_like(zoom)
    center_x, center_y = (tf.cast(width, tf.float32) - 1.0) / 2.0, (tf.cast(height, tf.float32) - 1.0) / 2.0
    a, b = mirror * zoom * tf.cos(angle), -mirror * zoom * tf.sin(angle)
    c, d = zoom * tf.sin(angle), zoom * tf.cos(angle)
    shift_x = center_x - a * center_x - b * center_y + draw[3] * config.shift * tf.cast(width, tf.float32)
    shift_y = center_y - c * center_x - d * center_y + draw[4] * config.shift * tf.cast(height, tf.float32)
    zeros = tf.zeros_like(zoom)
    return tf.stack([a, b, shift_x, c, d, shift_y, zeros, zeros], axis=1)


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
