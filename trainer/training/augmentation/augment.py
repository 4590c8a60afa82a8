"""Random changes to training pictures: batches of uint8 pixels in, the network's normalized input out.

In the order of a picture's life: where it is taken from, its light and colours, what lens, sensor and file make of it,
what covers it, and with what it is mixed. Each is a few passes over the batch, and one that is switched off costs
nothing. Every random number is drawn statelessly from a seed, so the same seed gives the same pictures on every run,
and the same picture at another size, but for noise and JPEG's blocks, which are as strong there but finer.
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

# Each of these draws from a seed of its own, so that none changes what the others draw.
_OWN_SEEDS = ("rand_augment", "relight", "motion_blur", "blur", "noise", "jpeg", "cut_out", "mix")


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
    """Changes each picture of a batch at random; `mix_targets` tells what it then shows.

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
    """What the pictures show that `augment` made of a batch with the same seed.

    Args:
        targets: float32 (N, classes): a one for each class that a picture shows.
        seed: As for `augment`.
        config: The same.

    Returns:
        float32 (N, classes): the classes' shares; the same where pictures aren't mixed.
    """
    if config.mixup or config.cutmix:
        return mix_shares(targets, _own_seed(seed, "mix"), config)
    return targets


def changes_pictures(config: AugmentConfig) -> bool:
    """Whether any picture is changed at all; without, the same picture comes in every epoch."""
    return config != AugmentConfig(set="none")


def check_flip(config: AugmentConfig, labels: Sequence[str]) -> None:
    """Looks whether a mirrored picture would be of another class.

    Raises:
        RecipeError: Pictures are mirrored, and classes are named after digits, letters, or left and right.
    """
    characters = [label for label in labels if label.isdigit() or (len(label) == 1 and label.isalpha())]
    sides = [label for label in labels if re.search(r"(?<![a-z])(left|right)(?![a-z])", label.lower())]
    for named, kind in ((sides, "sides"), (characters if len(characters) > 1 else [], "characters")):
        if config.flip and named:
            raise RecipeError(
                f"Expected augment.flip to be off where classes are named after {kind} ({', '.join(named[:4])}), "
                "because a mirrored picture would be of another class. Set augment.flip=false or augment.set=digits, "
                "or give the classes other names if they mean something else."
            )


def _own_seed(seed: tf.Tensor, change: str) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.fold_in(seed, _OWN_SEEDS.index(change))
