"""What hides a part of a picture, and what puts another picture into it, and its share into the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.config import AugmentConfig

_GREY = 128.0  # about zero after normalization, which is what the paper paints with
_LEAST = 1e-30


def cut_out(pixels: tf.Tensor, seed: tf.Tensor, side: float) -> tf.Tensor:
    """Paints a square over each picture, around any of its points (DeVries & Taylor, "Cutout", 2017).

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255.
        seed: Of the draws.
        side: Of the square, as a share of the picture's.

    Returns:
        The same shape and range.
    """
    import tensorflow as tf

    y, x = tf.unstack(tf.random.stateless_uniform([2, tf.shape(pixels)[0]], seed))
    half = side / 2.0
    return tf.where(_inside((y - half, y + half, x - half, x + half), pixels), _GREY, pixels)


def mix_pictures(pixels: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Blends each picture with its neighbour in the batch (mixup), or puts a part of that one into it (CutMix).

    Args:
        pixels: float32 (N, height, width, 3) RGB, 0–255, in random order.
        seed: Of the draws.
        config: ``mixup`` and ``cutmix``.

    Returns:
        The same shape and range.
    """
    import tensorflow as tf

    draw = _draw(tf.shape(pixels)[0], seed, config)
    own = draw.own[:, None, None, None]
    if config.cutmix:
        outside = tf.cast(~_inside(draw.box, pixels), tf.float32)
        own = tf.where(draw.cuts[:, None, None, None], outside, own)
    neighbour = tf.roll(pixels, 1, axis=0)
    return neighbour + own * (pixels - neighbour)


def mix_shares(targets: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Mixes the targets in the shares that the pictures have.

    Args:
        targets: float32 (N, classes), one or several classes each.
        seed: The same as for the pictures.
        config: The same.

    Returns:
        The same shape.
    """
    import tensorflow as tf

    own, neighbour = _draw(tf.shape(targets)[0], seed, config).own[:, None], tf.roll(targets, 1, axis=0)
    return neighbour + own * (targets - neighbour)


class _Draw(NamedTuple):
    """What is drawn for each picture of a batch: the same whatever the pictures' size.

    Attributes:
        cuts: bool (N,): a part is cut from the neighbour; else both are blended.
        own: float32 (N,): the picture's own share.
        box: Top, bottom, left and right of that part, float32 (N,) each, as shares of the sides.
    """

    cuts: tf.Tensor
    own: tf.Tensor
    box: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def _draw(count: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> _Draw:
    import tensorflow as tf

    seeds = tf.random.split(seed, 3)
    choice, y, x = tf.unstack(tf.random.stateless_uniform([3, count], seeds[0]))
    cuts = choice < (0.5 if config.mixup and config.cutmix else float(bool(config.cutmix)))
    # Beta(α, α) is one gamma's share of two.
    alpha = tf.where(cuts, config.cutmix or 1.0, config.mixup or 1.0)
    one, other = (tf.maximum(tf.random.stateless_gamma([count], seeds[n], alpha), _LEAST) for n in (1, 2))
    own = one / (one + other)
    # A blend is the same whichever is called its own; so each stays the larger part of one, and none drops out.
    own = tf.where(cuts, own, tf.maximum(own, 1.0 - own))
    half = tf.sqrt(1.0 - own) / 2.0
    top, bottom, left, right = (tf.clip_by_value(at, 0.0, 1.0) for at in (y - half, y + half, x - half, x + half))
    return _Draw(cuts, tf.where(cuts, 1.0 - (bottom - top) * (right - left), own), (top, bottom, left, right))


def _inside(box: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], pixels: tf.Tensor) -> tf.Tensor:
    """Which pixels' middles lie in a box: bool (N, height, width, 1)."""
    import tensorflow as tf

    def between(side: int, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
        middles = (tf.range(side, dtype=tf.float32) + 0.5) / side
        return (middles >= low[:, None]) & (middles < high[:, None])

    top, bottom, left, right = box
    rows, columns = between(pixels.shape[1], top, bottom), between(pixels.shape[2], left, right)
    return (rows[:, :, None] & columns[:, None, :])[..., None]
