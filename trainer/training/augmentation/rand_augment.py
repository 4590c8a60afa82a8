"""RandAugment (Cubuk et al., 2020): applies a few of fourteen changes to each picture, all of one magnitude.

The changes and their ranges are those of AutoAugment (Cubuk et al., 2019, table 6); none of them mirrors the picture.
Beyond the edges, the picture is reflected instead of gray.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from trainer.training.augmentation.geometry import resample

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

_CHANGES_EACH = 2
_LUMA = (0.299, 0.587, 0.114)


def rand_augment(pixels: tf.Tensor, seed: tf.Tensor, magnitude: float) -> tf.Tensor:
    """Apply two random changes to each picture of a batch.

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        magnitude: Strength of the changes, 0–10.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    draw = tf.random.stateless_uniform([tf.shape(pixels)[0], _CHANGES_EACH, 2], seed)

    def change(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        picture, draws = one
        for step in range(_CHANGES_EACH):
            which = tf.cast(draws[step, 0] * len(CHANGES), tf.int32)
            strength = magnitude / 10.0 * tf.where(draws[step, 1] < 0.5, -1.0, 1.0)
            picture = tf.switch_case(which, [partial(apply, picture, strength) for apply in CHANGES])
            picture = tf.clip_by_value(tf.ensure_shape(picture, pixels.shape[1:]), 0.0, 255.0)
        return picture

    return tf.ensure_shape(tf.map_fn(change, (pixels, draw), fn_output_signature=tf.float32), pixels.shape)


# Each takes a picture, float32 (height, width, 3), and a strength from -1 to 1, whose sign is the direction, if any.


def _keep(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return picture


def _stretch(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Stretch each channel to the whole range ("AutoContrast"); the strength is ignored."""
    import tensorflow as tf

    low, high = tf.reduce_min(picture, axis=(0, 1)), tf.reduce_max(picture, axis=(0, 1))
    return tf.where(high > low, (picture - low) * 255.0 / tf.maximum(high - low, 1.0), picture)


def _equalize(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Equalize the histogram of each channel; the strength is ignored."""
    import tensorflow as tf

    def equal(channel: tf.Tensor) -> tf.Tensor:
        below = tf.cumsum(tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256, dtype=tf.float32))
        lowest = tf.gather(below, tf.reduce_min(channel))  # number of pixels with the lowest value, which becomes 0
        return tf.gather((below - lowest) * 255.0 / tf.maximum(below[-1] - lowest, 1.0), channel)

    channels = tf.unstack(tf.cast(tf.round(picture), tf.int32), axis=2)
    return tf.stack([equal(channel) for channel in channels], axis=2)


def _solarize(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Invert values above a threshold."""
    import tensorflow as tf

    return tf.where(picture < 256.0 * (1.0 - tf.abs(strength)), picture, 255.0 - picture)


def _posterize(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Keep only the upper 4 to 8 bits."""
    import tensorflow as tf

    step = 2.0 ** tf.round(4.0 * tf.abs(strength))
    return picture // step * step


def _saturate(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(_gray(picture), picture, strength)


def _contrast(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return _away_from(tf.reduce_mean(_gray(picture)), picture, strength)


def _brighten(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(0.0, picture, strength)


def _sharpen(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Sharpen or smooth with a 3×3 mean whose center counts five times."""
    import tensorflow as tf

    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32)[:, :, None, None] / 13.0
    padded = tf.pad(picture, ((1, 1), (1, 1), (0, 0)), "SYMMETRIC")[None]
    smooth = tf.nn.depthwise_conv2d(padded, tf.tile(kernel, (1, 1, 3, 1)), (1, 1, 1, 1), "VALID")[0]
    return _away_from(smooth, picture, strength)


def _rotate(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    angle = math.radians(30.0) * strength
    return _warp(picture, tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle))


def _shear_x(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _warp(picture, 1.0, 0.3 * strength, 0.0, 1.0)


def _shear_y(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _warp(picture, 1.0, 0.0, 0.3 * strength, 1.0)


def _move_x(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _warp(picture, 1.0, 0.0, 0.0, 1.0, x=0.45 * strength)


def _move_y(picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _warp(picture, 1.0, 0.0, 0.0, 1.0, y=0.45 * strength)


CHANGES: tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], ...] = (
    *(_keep, _stretch, _equalize, _solarize, _posterize, _saturate, _contrast, _brighten, _sharpen),
    *(_rotate, _shear_x, _shear_y, _move_x, _move_y),
)
"""The fourteen changes of the paper."""


def _away_from(other: tf.Tensor, picture: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Extrapolate from another picture or blend with it, by a factor of 0.1 to 1.9 (Pillow's ImageEnhance)."""
    return picture + 0.9 * strength * (picture - other)


def _gray(picture: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.reduce_sum(picture * tf.constant(_LUMA), axis=2, keepdims=True)


def _warp(
    picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor, *, x: Any = 0.0, y: Any = 0.0
) -> tf.Tensor:
    """Apply a 2×2 matrix around the center, then shift by shares of the sides."""
    import tensorflow as tf

    height, width = picture.shape[:2]
    middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0
    along_x = middle_x + x * width - a * middle_x - b * middle_y
    along_y = middle_y + y * height - c * middle_x - d * middle_y
    transform = tf.stack([a, b, along_x, c, d, along_y, 0.0, 0.0])
    return resample(picture[None], transform[None], (height, width))[0]
