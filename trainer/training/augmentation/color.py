"""Color and light changes, in a few passes over the batch.

Pixels are float32 (N, height, width, 3) RGB, 0–255, before and after.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.config import AugmentConfig

_GAMMA = 2.2  # a photo file's values grow with the light to the power of 1 / 2.2

# RGB to NTSC's YIQ: luma and two color axes. Rotating these two rotates the hue.
_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def recolor(pixels: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Change brightness, contrast around the picture's mean and saturation around its gray level."""
    import tensorflow as tf

    draw = tf.random.stateless_uniform([3, tf.shape(pixels)[0], 1, 1, 1], seed, -1.0, 1.0)
    contrast = 1.0 + config.contrast * draw[1]
    if config.saturation:
        gray = tf.reduce_mean(pixels, axis=3, keepdims=True)
        saturation = 1.0 + config.saturation * draw[2]
        pixels = saturation * pixels + (1.0 - saturation) * gray
    mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
    pixels = contrast * pixels + ((1.0 - contrast) * mean + 255.0 * config.brightness * draw[0])
    return tf.clip_by_value(pixels, 0.0, 255.0)


def relight(pixels: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Change exposure, white balance and hue, by one matrix product per picture."""
    import numpy as np
    import tensorflow as tf

    exposure, warmth, tint, turn = tf.unstack(
        tf.random.stateless_uniform([4, tf.shape(pixels)[0]], seed, -1.0, 1.0), axis=0
    )
    balance = config.white_balance
    gains = tf.stack([1.0 + balance * warmth, 1.0 + balance / 2.0 * tint, 1.0 - balance * warmth], axis=1)
    matrix = tf.linalg.diag(gains * 2.0 ** (config.exposure * exposure / _GAMMA)[:, None])
    if config.hue:
        angle = turn * math.radians(config.hue)
        cos, sin, one, zero = tf.cos(angle), tf.sin(angle), tf.ones_like(angle), tf.zeros_like(angle)
        rotation = tf.reshape(tf.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], axis=1), (-1, 3, 3))
        to_yiq = np.array(_TO_YIQ)
        matrix = (np.linalg.inv(to_yiq).astype(np.float32) @ rotation @ to_yiq.astype(np.float32)) @ matrix
    return tf.clip_by_value(tf.einsum("nhwc,ndc->nhwd", pixels, matrix), 0.0, 255.0)
