"""Degradations by lens, sensor and file format: motion blur, defocus, noise and JPEG compression.

Lengths are shares of the picture's side, so that the effect does not depend on the picture's size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.training.augmentation.geometry import resample

if TYPE_CHECKING:
    import tensorflow as tf

_HALVINGS = 3  # motion blur averages 2³ points on the path
_LEAST_SIGMA = 0.01  # pixels; below that, the neighbors' weights are zero anyway


def motion_blur(pixels: tf.Tensor, seed: tf.Tensor, length: float) -> tf.Tensor:
    """Blur each picture as if the camera moved in a straight line during the exposure.

    The mean over eight points on the path comes from three means of two: of the picture and itself moved by a half, a
    quarter and an eighth of the path. The path starts at the picture's position and has a random direction.

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        length: Length of the longest path, as a share of the side.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    height, width = pixels.shape[1:3]
    draw = tf.random.stateless_uniform([2, tf.shape(pixels)[0]], seed)
    path, direction = length * draw[0], 2.0 * math.pi * draw[1]
    x, y = path * tf.cos(direction) * width, path * tf.sin(direction) * height
    one, zero = tf.ones_like(x), tf.zeros_like(x)
    for halving in range(1, _HALVINGS + 1):
        move = tf.stack([one, zero, x / 2**halving, zero, one, y / 2**halving, zero, zero], axis=1)
        pixels = (pixels + resample(pixels, move, (height, width))) / 2.0
    return pixels


def blur(pixels: tf.Tensor, seed: tf.Tensor, sigma: float) -> tf.Tensor:
    """Apply Gaussian blur of random width, as a product with a matrix of weights along each axis.

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        sigma: Largest standard deviation, as a share of the side.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    share = sigma * tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1], seed)

    def weights(side: int) -> tf.Tensor:
        """float32 (N, side, side); weights beyond the edge are left out and the rest is normalized to 1."""
        place = tf.range(side, dtype=tf.float32)
        distance = (place[:, None] - place) / tf.maximum(share * side, _LEAST_SIGMA)
        return tf.nn.softmax(-0.5 * distance**2, axis=-1)

    height, width = pixels.shape[1:3]
    pixels = tf.einsum("nij,njwc->niwc", weights(height), pixels)
    return tf.einsum("nij,nhjc->nhic", weights(width), pixels)


def noise(pixels: tf.Tensor, seed: tf.Tensor, deviation: float) -> tf.Tensor:
    """Add Gaussian noise to each channel.

    The deviation is the same in bright and dark areas: a file's values grow roughly with the square root of the light,
    and the square root makes the deviation of a photon count constant (Anscombe, 1948).

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        deviation: Largest standard deviation, as a share of the range.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    seeds = tf.random.split(seed, 2)
    strength = 255.0 * deviation * tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seeds[0])
    return tf.clip_by_value(pixels + strength * tf.random.stateless_normal(tf.shape(pixels), seeds[1]), 0.0, 255.0)


def jpeg(pixels: tf.Tensor, seed: tf.Tensor, loss: float) -> tf.Tensor:
    """Compress each picture as a JPEG file of random quality.

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        loss: Largest share of the quality to lose, 0–1.

    Returns:
        Pixels of the same shape and range, in whole numbers.
    """
    import tensorflow as tf

    kept = 1.0 - loss * tf.random.stateless_uniform([tf.shape(pixels)[0]], seed)
    qualities = tf.cast(tf.maximum(tf.round(100.0 * kept), 1.0), tf.int32)

    def through_file(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        picture, quality = one
        return tf.image.adjust_jpeg_quality(picture, quality, dct_method="INTEGER_ACCURATE")

    files = tf.map_fn(through_file, (tf.cast(tf.round(pixels), tf.uint8), qualities), fn_output_signature=tf.uint8)
    return tf.cast(tf.ensure_shape(files, pixels.shape), tf.float32)
