"""Cutout, mixup and CutMix: hide a part of a picture, or mix it and its target with another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.config import AugmentConfig

_GRAY = 128.0  # about zero after normalization, the color used in the Cutout paper
_LEAST = 1e-30


def cut_out(pixels: tf.Tensor, seed: tf.Tensor, side: float) -> tf.Tensor:
    """Cover a square around a random point of each picture (DeVries & Taylor, "Cutout", 2017).

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Seed of the random draws, int (2,).
        side: Side of the square, as a share of the picture's.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    y, x = tf.unstack(tf.random.stateless_uniform([2, tf.shape(pixels)[0]], seed))
    half = side / 2.0
    return tf.where(_inside((y - half, y + half, x - half, x + half), pixels), _GRAY, pixels)


def mix_pictures(pixels: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Blend each picture with its neighbor in the batch (mixup), or paste a part of the neighbor into it (CutMix).

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255, in random order.
        seed: Seed of the random draws, int (2,).
        config: Settings, of which ``mixup`` and ``cutmix`` are used.

    Returns:
        Pixels of the same shape and range.
    """
    import tensorflow as tf

    draw = _draw(tf.shape(pixels)[0], seed, config)
    own = draw.own[:, None, None, None]
    if config.cutmix:
        outside = tf.cast(~_inside(draw.box, pixels), tf.float32)
        own = tf.where(draw.cuts[:, None, None, None], outside, own)
    neighbor = tf.roll(pixels, 1, axis=0)
    return neighbor + own * (pixels - neighbor)


def mix_shares(targets: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Mix targets in the same shares as `mix_pictures` mixes the pictures.

    Args:
        targets: float32 (N, classes), one or several classes each.
        seed: Seed as for `mix_pictures`.
        config: Settings as for `mix_pictures`.

    Returns:
        float32 (N, classes), 0–1.
    """
    import tensorflow as tf

    own, neighbor = _draw(tf.shape(targets)[0], seed, config).own[:, None], tf.roll(targets, 1, axis=0)
    return neighbor + own * (targets - neighbor)


class _Draw(NamedTuple):
    """Random draws for each picture of a batch, independent of the pictures' size.

    Attributes:
        cuts: bool (N,), True to paste a part of the neighbor, False to blend both.
        own: float32 (N,), the picture's own share, 0–1.
        box: Top, bottom, left and right of the pasted part, float32 (N,) each, as shares of the sides.
    """

    cuts: tf.Tensor
    own: tf.Tensor
    box: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def _draw(count: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> _Draw:
    import tensorflow as tf

    seeds = tf.random.split(seed, 3)
    choice, y, x = tf.unstack(tf.random.stateless_uniform([3, count], seeds[0]))
    cuts = choice < (0.5 if config.mixup and config.cutmix else float(bool(config.cutmix)))
    # A share of Beta(α, α) is one of two gamma variates over their sum.
    alpha = tf.where(cuts, config.cutmix or 1.0, config.mixup or 1.0)
    one, other = (tf.maximum(tf.random.stateless_gamma([count], seeds[n], alpha), _LEAST) for n in (1, 2))
    own = one / (one + other)
    # A blend is symmetric. Its own share is the larger one, so that every picture stays the main part of one blend.
    own = tf.where(cuts, own, tf.maximum(own, 1.0 - own))
    half = tf.sqrt(1.0 - own) / 2.0
    top, bottom, left, right = (tf.clip_by_value(at, 0.0, 1.0) for at in (y - half, y + half, x - half, x + half))
    return _Draw(cuts, tf.where(cuts, 1.0 - (bottom - top) * (right - left), own), (top, bottom, left, right))


def _inside(box: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], pixels: tf.Tensor) -> tf.Tensor:
    """Pixels whose centers are inside a box, bool (N, height, width, 1)."""
    import tensorflow as tf

    def between(side: int, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        centers = (tf.range(side, dtype=tf.float32) + 0.5) / side
        return (centers >= low[:, None]) & (centers < high[:, None])

    top, bottom, left, right = box
    rows, columns = between(pixels.shape[1], top, bottom), between(pixels.shape[2], left, right)
    return (rows[:, :, None] & columns[:, None, :])[..., None]
