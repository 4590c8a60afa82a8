"""Settings that depend on how many photos there are to train on."""

from __future__ import annotations

from dataclasses import replace

from trainer.config.augmentation import AugmentConfig
from trainer.config.loss import LossConfig
from trainer.config.training import FinetuneConfig, HeadConfig

MANY_PHOTOS = 1000
"""To train on: from here on, time and memory are shorter than photos."""

_SMALL = 0.7  # share of the input size in training, where photos are many
_EPOCHS, _MOST_EPOCHS = 32, 128  # of fine-tuning


def for_photos(finetune: FinetuneConfig, augment: AugmentConfig, count: int) -> tuple[FinetuneConfig, AugmentConfig]:
    """Decides what the settings leave open: the epochs of fine-tuning, the changes to its pictures, and their size.

    There are 32 epochs. With fewer than 1,000 photos there are as many as make the steps of 1,000, up to 128, and
    ``patience`` is as much longer.

    Few photos are changed as the set ``"few"`` says (`augment_for_photos`).

    With many photos the size (``train_size``) is 0.7 of the input size, which zooming in makes up for, and which takes
    half the time. With few, it is all of it, which is more accurate, and they are zoomed into by as much less, so that
    things look as large. It is all of it, too, where pictures aren't zoomed into.

    Args:
        finetune: The settings of training.
        augment: Of the changes to its pictures.
        count: Of the photos to train on.

    Returns:
        Both, with nothing left open.
    """
    return _sized(_long_enough(finetune, count), augment_for_photos(augment, finetune, count), count)


def augment_for_photos(augment: AugmentConfig, finetune: FinetuneConfig, count: int) -> AugmentConfig:
    """Decides for a ready-made set of changes to training pictures, where the settings leave it open.

    With few photos it is ``"few"``, which doesn't zoom in, and so is for pictures at full size; else ``"default"``.
    Single changes that differ from the default stay as they are.

    Args:
        augment: The changes.
        finetune: The settings of the training.
        count: Of the photos to train on.

    Returns:
        The changes, with nothing left open.
    """
    if augment.set:
        return augment
    at_full_size = finetune.train_size in (0.0, 1.0)
    return augment.of_set("few" if count < MANY_PHOTOS and at_full_size else "default")


def head_for_photos(head: HeadConfig, loss: LossConfig, count: int, *, multi_label: bool) -> HeadConfig:
    """Decides how the classifier on the frozen backbone's features is found, where the settings leave it open.

    With few photos it is a regression, solved to its end: epochs would be of too few steps, and end by too few
    validation photos. It is trained by epochs with many photos, with those that show several classes, and where
    anything of its training or of the loss is asked for.

    Args:
        head: The settings of its training.
        loss: What they are to minimize.
        count: Of the photos to train on.
        multi_label: Whether photos may show several classes.

    Returns:
        The settings, with nothing left open.
    """
    if head.solver:
        return head
    nothing_asked = (head, loss) == (HeadConfig(), LossConfig())
    regression = nothing_asked and count < MANY_PHOTOS and not multi_label
    return replace(head, solver="lbfgs" if regression else "adam")


def _long_enough(finetune: FinetuneConfig, count: int) -> FinetuneConfig:
    if finetune.epochs >= 0:
        return finetune
    times = min(max(1.0, MANY_PHOTOS / max(1, count)), _MOST_EPOCHS / _EPOCHS)
    return replace(finetune, epochs=round(_EPOCHS * times), patience=round(finetune.patience * times))


def _sized(finetune: FinetuneConfig, augment: AugmentConfig, count: int) -> tuple[FinetuneConfig, AugmentConfig]:
    if finetune.train_size:
        return finetune, augment
    lower, upper = augment.scale
    zooms_in = _SMALL * upper >= 1.0
    if zooms_in and count >= MANY_PHOTOS:
        return replace(finetune, train_size=_SMALL), augment
    scale = (lower, max(lower, _SMALL * upper)) if zooms_in else (lower, upper)
    return replace(finetune, train_size=1.0), replace(augment, scale=scale)
