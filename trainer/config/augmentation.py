"""Settings of data augmentation, and its ready-made sets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trainer.config.require import require

_NONE: dict[str, Any] = {
    "rotation": 0.0,
    "shift": 0.0,
    "scale": (1.0, 1.0),
    "flip": False,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "exposure": 0.0,
    "white_balance": 0.0,
    "motion_blur": 0.0,
    "blur": 0.0,
    "noise": 0.0,
    "jpeg": 0.0,
    "cutout": 0.0,
    "rand_augment": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
_COLORS = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
_DEFAULT = {**_NONE, **_COLORS, "rotation": 15.0, "shift": 0.02, "scale": (1.0, 2.2), "flip": True}

SETS: dict[str, dict[str, Any]] = {
    "none": _NONE,
    "light": {
        **_NONE,
        **dict.fromkeys(_COLORS, 0.1),
        **{"rotation": 5.0, "shift": 0.02, "scale": (1.0, 1.6), "flip": True},
    },
    "default": _DEFAULT,
    "few": {**_DEFAULT, "shift": 0.1, "scale": (0.8, 1.2), "rand_augment": 6.0},
    "strong": {
        **_DEFAULT,
        **{"hue": 10.0, "rand_augment": 6.0, "mixup": 0.2, "cutmix": 1.0},
    },
    "camera": {
        **_DEFAULT,
        **{"brightness": 0.1, "exposure": 1.0, "white_balance": 0.2},
        **{"motion_blur": 0.04, "blur": 0.01, "noise": 0.04, "jpeg": 0.7},
    },
    "digits": {**_NONE, **_COLORS, "rotation": 10.0, "shift": 0.05, "scale": (0.85, 1.15)},
}
"""All values of each ready-made set.

A zoom of 2.2 compensates for training at 0.7 of the input size; at full size it is reduced (`config.photo_count`).
``"few"`` suits few photos, which are trained on at full size for many epochs; ``"strong"`` large networks and long
training; ``"camera"`` models that see through a webcam; ``"digits"`` anything that is read, as it never mirrors.
"""

_AT_MOST = {
    **{"rotation": 180, "hue": 180, "exposure": 4, "motion_blur": 0.5, "blur": 0.25, "noise": 1, "cutout": 1},
    **{"rand_augment": 10, "mixup": 10, "cutmix": 10},
}
_BELOW_1 = ("shift", "brightness", "contrast", "saturation", "white_balance", "jpeg")
_FROM_SET: Any = None


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training pictures, applied to the cached pixels. 0 switches a change off.

    Values that aren't given come from the set, so an AugmentConfig always holds the values that are used.

    Attributes:
        set: Name of a ready-made set in `SETS`; ignored when comparing configs. Empty: ``"few"`` with few photos,
            ``"default"`` with many (`config.photo_count`); until that is decided, the values are the default's.
        rotation: Largest rotation to either side, in degrees.
        shift: Largest shift in any direction, as a share of the side.
        scale: Smallest and largest zoom; a crop is placed at random. With few photos and ``finetune.train_size`` 0, the
            largest zoom is multiplied by 0.7.
        flip: If True, mirror half of the pictures left to right; not for digits or text.
        brightness: Largest change to either side, as a share of the range.
        contrast: Largest deviation of the factor from 1.
        saturation: Largest deviation of the factor from 1.
        hue: Largest rotation of the hue to either side, in degrees.
        exposure: Largest change to either side, in stops.
        white_balance: Largest deviation of the factors of red (1 ± this) and blue (1 ∓ this); green varies
            independently by half as much.
        motion_blur: Longest motion during the exposure, as a share of the side.
        blur: Largest standard deviation of a Gaussian blur, as a share of the side.
        noise: Largest standard deviation of noise, as a share of the range.
        jpeg: Largest loss of JPEG quality: qualities range from 100 down to 100 × (1 − this).
        cutout: Side of a square that is painted over, as a share of the picture's side (DeVries & Taylor, 2017).
        rand_augment: Magnitude, 0 to 10, of two changes drawn from fourteen (RandAugment, Cubuk et al., 2020).
        mixup: α of the blending ratio of two pictures (Zhang et al., "mixup", 2018); 0.2 is usual.
        cutmix: α of the area pasted from another picture (Yun et al., "CutMix", 2019); 1 is usual. If ``mixup`` is on
            too, each picture gets one of the two at even odds.
    """

    set: str = field(default="", compare=False)
    rotation: float = _FROM_SET
    shift: float = _FROM_SET
    scale: tuple[float, float] = _FROM_SET
    flip: bool = _FROM_SET
    brightness: float = _FROM_SET
    contrast: float = _FROM_SET
    saturation: float = _FROM_SET
    hue: float = _FROM_SET
    exposure: float = _FROM_SET
    white_balance: float = _FROM_SET
    motion_blur: float = _FROM_SET
    blur: float = _FROM_SET
    noise: float = _FROM_SET
    jpeg: float = _FROM_SET
    cutout: float = _FROM_SET
    rand_augment: float = _FROM_SET
    mixup: float = _FROM_SET
    cutmix: float = _FROM_SET

    def __post_init__(self) -> None:
        require(self.set in ("", *SETS), "augment.set", f"empty or one of {', '.join(SETS)}", self.set)
        for setting in fields(self):
            if getattr(self, setting.name) is _FROM_SET:
                object.__setattr__(self, setting.name, SETS[self.set or "default"][setting.name])
        object.__setattr__(self, "scale", tuple(self.scale))
        ordered = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]
        require(ordered, "augment.scale", "[smallest, largest], both greater than 0", list(self.scale))
        for name, most in _AT_MOST.items():
            require(0 <= getattr(self, name) <= most, f"augment.{name}", f"between 0 and {most}", getattr(self, name))
        for name in _BELOW_1:
            require(0 <= getattr(self, name) < 1, f"augment.{name}", "at least 0 and below 1", getattr(self, name))

    def with_set(self, name: str) -> AugmentConfig:
        """Return a config based on another set; values that differ from the current set's are kept."""
        own = SETS[self.set or "default"]
        changed = {key: value for key, value in vars(self).items() if key != "set" and value != own[key]}
        return AugmentConfig(set=name, **changed)

    def at_strength(self, strength: float) -> AugmentConfig:
        """Return a config with all changes made weaker or stronger.

        Args:
            strength: Factor of the amounts, up to their limits, and exponent of factors such as the zoom, so that a
                factor of 1 stays 1. 1: unchanged, 0: no changes.
        """
        most = {**_AT_MOST, **dict.fromkeys(_BELOW_1, math.nextafter(1.0, 0.0))}
        values: dict[str, Any] = {
            name: min(float(strength * getattr(self, name)), float(limit)) for name, limit in most.items()
        }
        return replace(self, scale=(self.scale[0] ** strength, self.scale[1] ** strength), **values)
