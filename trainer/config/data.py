"""Settings of the photos: how they are split and turned into pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, shown
from trainer.errors import RecipeError


@dataclass(frozen=True)
class DataConfig:
    """How the photos are split and turned into pixels.

    Attributes:
        val_fraction: Share of the photos that decides (early stopping, the gate); 0: 0.2, or 0.15 of the training
            photos where a test split is given.
        test_fraction: Share that is measured once; 0: 0.1, or 0.2 under 1,000 photos.
        max_unreadable: Share of files that may be undecodable before the run stops.
        crop: ``"center"`` or ``"stretch"``.
        group: What is never parted by a split that is made here: ``"exif_time"`` (bursts, by EXIF time), or a regular
            expression with one group, searched for in each photo's path, as ``"/(session\\d+)_"``; empty: what the
            list's column of groups says, if there is one.
    """

    val_fraction: float = 0.0
    test_fraction: float = 0.0
    max_unreadable: float = 0.05
    crop: Literal["center", "stretch"] = "stretch"
    group: str = ""

    def __post_init__(self) -> None:
        for name in ("val_fraction", "test_fraction", "max_unreadable"):
            require(0 <= getattr(self, name) < 0.9, f"data.{name}", "from 0 to below 0.9", getattr(self, name))
        require(self.crop in ("center", "stretch"), "data.crop", "center or stretch", self.crop)
        if self.group not in ("", "exif_time"):
            kind = "exif_time or a regular expression with one group in parentheses"
            try:
                groups = re.compile(self.group).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise RecipeError(f"Expected data.group to be {kind}, got {shown(self.group)} ({error}).") from error
            require(groups == 1, "data.group", kind, self.group)
