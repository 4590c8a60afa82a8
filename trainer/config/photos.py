"""Settings that depend on how many photos there are to train on."""

from __future__ import annotations

from dataclasses import replace

from trainer.config.augmentation import AugmentConfig
from trainer.config.training import FinetuneConfig

MANY_PHOTOS = 1000
"""To train on: from here on, time and memory are shorter than photos."""

_SMALL = 0.7  # share of the input size in training, where photos are many


def for_photos(finetune: FinetuneConfig, augment: AugmentConfig, count: int) -> tuple[FinetuneConfig, AugmentConfig]:
    """Decides the size of training pictures, where ``finetune.train_size`` leaves it open.

    With many photos it is 0.7 of the input size, which zooming in makes up for, and which takes half the time. With
    few, it is all of it, which is more accurate, and they are zoomed into by as much less, so that things look as
    large. It is all of it, too, where pictures aren't zoomed into.

    Args:
        finetune: The settings of training.
        augment: Of the changes to its pictures.
        count: Of the photos to train on.

    Returns:
        Both, with nothing left open.
    """
    if finetune.train_size:
        return finetune, augment
    lower, upper = augment.scale
    zooms_in = _SMALL * upper >= 1.0
    if zooms_in and count >= MANY_PHOTOS:
        return replace(finetune, train_size=_SMALL), augment
    scale = (lower, max(lower, _SMALL * upper)) if zooms_in else (lower, upper)
    return replace(finetune, train_size=1.0), replace(augment, scale=scale)
