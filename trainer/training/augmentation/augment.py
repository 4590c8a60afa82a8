"""Applies random changes to training pictures, and normalizes pictures for the network.

The order is that of a photo's life: viewpoint, light and color, lens, sensor and file, what covers it, and what it is
mixed with. Each change is a few passes over the batch; one that is switched off costs nothing. All random numbers are
drawn statelessly from a seed, so the same seed gives the same pictures in every run. It also gives the same picture at
another size, except for noise and JPEG blocks, which are equally strong there but finer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainer.config import AugmentConfig
from trainer.errors import RecipeError
from trainer.training.augmentation.color import recolor, relight
from trainer.training.augmentation.degradation import blur, jpeg, motion_blur, noise
from trainer.training.augmentation.geometry import moves, random_transforms, resample
from trainer.training.augmentation.mixing import cut_out, mix_pictures, mix_shares
from trainer.training.augmentation.rand_augment import rand_augment

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorflow as tf

# Each of these has its own seed, so that no change affects the random draws of another.
_OWN_SEEDS = ("rand_augment", "relight", "motion_blur", "blur", "noise", "jpeg", "cut_out", "mix")


def normalize(images: tf.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tf.Tensor:
    """Normalize pixels for the network: ``(pixel - mean) / std``.

    Args:
        images: uint8 or float32 (N, height, width, 3) RGB, 0–255.
        mean: Mean, one value or one per channel, in pixel units.
        std: Standard deviation, one value or one per channel, in pixel units.

    Returns:
        float32 of the same shape.
    """
    import tensorflow as tf

    return (tf.cast(images, tf.float32) - tf.constant(mean, tf.float32)) / tf.constant(std, tf.float32)


def augment(images: tf.Tensor, seed: tf.Tensor, config: AugmentConfig, *, size: int = 0) -> tf.Tensor:
    """Change each picture of a batch at random; `mix_targets` changes the targets to match.

    Args:
        images: uint8 or float32 (N, height, width, 3) RGB, 0–255.
        seed: int32 or int64 (2,): the run's seed and the number of the batch.
        config: Changes to apply and their strengths.
        size: Height and width of the result, reached in the same resampling; 0: unchanged.

    Returns:
        float32 (N, height, width, 3) or (N, size, size, 3), 0–255.
    """
    import tensorflow as tf

    seeds = tf.random.split(seed, 2)
    source = tuple(images.shape[1:3])
    target = (size, size) if size else source
    pixels = tf.cast(images, tf.float32)
    if moves(config) or target != source:
        pixels = resample(pixels, random_transforms(tf.shape(images)[0], source, target, seeds[0], config), target)
    if config.rand_augment:
        pixels = rand_augment(pixels, _own_seed(seed, "rand_augment"), config.rand_augment)
    if config.brightness or config.contrast or config.saturation:
        pixels = recolor(pixels, seeds[1], config)
    if config.exposure or config.white_balance or config.hue:
        pixels = relight(pixels, _own_seed(seed, "relight"), config)
    if config.motion_blur:
        pixels = motion_blur(pixels, _own_seed(seed, "motion_blur"), config.motion_blur)
    if config.blur:
        pixels = blur(pixels, _own_seed(seed, "blur"), config.blur)
    if config.noise:
        pixels = noise(pixels, _own_seed(seed, "noise"), config.noise)
    if config.jpeg:
        pixels = jpeg(pixels, _own_seed(seed, "jpeg"), config.jpeg)
    if config.cutout:
        pixels = cut_out(pixels, _own_seed(seed, "cut_out"), config.cutout)
    if config.mixup or config.cutmix:
        pixels = mix_pictures(pixels, _own_seed(seed, "mix"), config)
    return pixels


def mix_targets(targets: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Return the targets of the pictures that `augment` made of a batch with the same seed.

    Args:
        targets: float32 (N, classes), 1 for each class in the picture, else 0.
        seed: Seed as for `augment`.
        config: Settings as for `augment`.

    Returns:
        float32 (N, classes), share of each class, 0–1; equal to ``targets`` unless pictures are mixed.
    """
    if config.mixup or config.cutmix:
        return mix_shares(targets, _own_seed(seed, "mix"), config)
    return targets


def changes_pictures(config: AugmentConfig) -> bool:
    """Whether any change is enabled; otherwise every epoch shows the same pictures."""
    return config != AugmentConfig(set="none")


def check_flip(config: AugmentConfig, labels: Sequence[str]) -> None:
    """Check that mirroring a picture does not change its class.

    Raises:
        RecipeError: ``config.flip`` is on, and classes are named after digits, letters, or left and right.
    """
    characters = [label for label in labels if label.isdigit() or (len(label) == 1 and label.isalpha())]
    sides = [label for label in labels if re.search(r"(?<![a-z])(left|right)(?![a-z])", label.lower())]
    for named, kind in ((sides, "sides"), (characters if len(characters) > 1 else [], "characters")):
        if config.flip and named:
            raise RecipeError(
                f"augment.flip is on, but classes are named after {kind} ({', '.join(named[:4])}), which mirroring "
                "would confuse. Set augment.flip=false or augment.set=digits, or rename the classes if the names mean "
                "something else."
            )


def _own_seed(seed: tf.Tensor, change: str) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.fold_in(seed, _OWN_SEEDS.index(change))
