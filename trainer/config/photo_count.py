"""Default settings that depend on the number of training photos."""

from __future__ import annotations

from dataclasses import replace

from trainer.config.augmentation import AugmentConfig
from trainer.config.loss import LossConfig
from trainer.config.training import FinetuneConfig, HeadConfig

MANY_PHOTOS = 1000
"""Number of training photos from which time and memory are scarcer than photos."""

_SMALL = 0.7  # training resolution with many photos, as a share of the input size
_EPOCHS, _MOST_EPOCHS = 32, 128  # fine-tuning epochs


def for_photos(finetune: FinetuneConfig, augment: AugmentConfig, count: int) -> tuple[FinetuneConfig, AugmentConfig]:
    """Choose the number of fine-tuning epochs, the augmentation and the training resolution, unless they are set.

    Epochs: 32. With fewer than 1,000 photos, enough epochs for as many steps as 1,000 photos get, up to 128, with
    ``patience`` increased in proportion.

    Augmentation: the set ``"few"`` for few photos (see `augment_for_photos`).

    Resolution (``train_size``): with many photos 0.7 of the input size, which takes half the time and is compensated
    by zooming in. With few photos the full size, which is more accurate, and the zoom is reduced so that objects
    appear as large. The full size, too, if pictures aren't zoomed in.

    Args:
        finetune: Fine-tuning settings.
        augment: Augmentation settings.
        count: Number of training photos.

    Returns:
        Both settings with everything decided.
    """
    return _sized(_long_enough(finetune, count), augment_for_photos(augment, finetune, count), count)


def augment_for_photos(augment: AugmentConfig, finetune: FinetuneConfig, count: int) -> AugmentConfig:
    """Choose a ready-made augmentation set, unless one is named.

    The set is ``"few"`` with few photos at full size, as it doesn't zoom in, and ``"default"`` otherwise. Values that
    differ from the default are kept.

    Args:
        augment: Augmentation settings.
        finetune: Fine-tuning settings.
        count: Number of training photos.

    Returns:
        The augmentation settings with a set.
    """
    if augment.set:
        return augment
    at_full_size = finetune.train_size in (0.0, 1.0)
    return augment.with_set("few" if count < MANY_PHOTOS and at_full_size else "default")


def head_for_photos(head: HeadConfig, loss: LossConfig, count: int, *, multi_label: bool) -> HeadConfig:
    """Choose the solver of the classifier head, unless one is named.

    With few photos it is logistic regression, as epochs would have too few steps and too few validation photos for
    early stopping. It is Adam with many photos, with several labels per photo, and if any setting of the head or of
    the loss is changed.

    Args:
        head: Settings of the head.
        loss: Loss settings.
        count: Number of training photos.
        multi_label: Whether a photo can have several labels.

    Returns:
        The settings of the head with a solver.
    """
    if head.solver:
        return head
    unchanged = (head, loss) == (HeadConfig(), LossConfig())
    regression = unchanged and count < MANY_PHOTOS and not multi_label
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
