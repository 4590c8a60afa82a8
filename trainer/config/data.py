"""Settings for splitting photos and for cropping them to the network's input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, require_choices, shown
from trainer.errors import RecipeError


@dataclass(frozen=True)
class DataConfig:
    """How photos are split and cropped.

    Attributes:
        val_fraction: Share of the photos for validation (early stopping, the accuracy gate). 0: 0.2, or 0.15 of the
            training photos if the source has a test split.
        test_fraction: Share of the photos for the test set, which is measured once. 0: 0.1, or 0.2 with fewer than
            1,000 photos.
        max_unreadable: Largest share of files that may be unreadable; with more, training refuses the photos.
        crop: ``"center"`` (crop to the input's aspect ratio) or ``"stretch"`` (use the whole frame).
        group: What a split made here keeps together: ``"exif_time"`` (bursts, by EXIF time), or a regular expression
            with one group that is searched for in each photo's path, such as ``"/(session\\d+)_"``. Empty: the
            list's group column, if it has one.

    Raises:
        RecipeError: A value is out of range, or ``group`` isn't a valid regular expression.
    """

    val_fraction: float = 0.0
    test_fraction: float = 0.0
    max_unreadable: float = 0.05
    crop: Literal["center", "stretch"] = "stretch"
    group: str = ""

    def __post_init__(self) -> None:
        for name in ("val_fraction", "test_fraction", "max_unreadable"):
            require(0 <= getattr(self, name) < 0.9, f"data.{name}", "at least 0 and below 0.9", getattr(self, name))
        require_choices(self, "data.")
        if self.group not in ("", "exif_time"):
            rule = "'exif_time' or a regular expression with exactly one (group)"
            try:
                groups = re.compile(self.group).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise RecipeError(f"data.group must be {rule}, got {shown(self.group)} ({error}).") from error
            require(groups == 1, "data.group", rule, self.group)
