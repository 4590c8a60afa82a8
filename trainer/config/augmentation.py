"""Settings of the random changes to training pictures."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training pictures, on the cached pixels.

    Attributes:
        rotation: Degrees, to either side.
        shift: Share of the side, in either direction.
        scale: Lower and upper zoom; a window that is smaller than the picture lies anywhere inside it.
        flip: Left and right swapped in half of the pictures; not for digits or text.
        brightness: Share of the range, to either side.
        contrast: Factor 1 ± this.
        saturation: Factor 1 ± this.
    """

    rotation: float = 15.0
    shift: float = 0.02
    scale: tuple[float, float] = (1.0, 2.2)
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        require(0 <= self.rotation <= 180, "augment.rotation", "from 0 to 180", self.rotation)
        require(0 <= self.shift < 1, "augment.shift", "from 0 to below 1", self.shift)
        require(
            len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1], "augment.scale", "[lower, upper]", self.scale
        )
        for name in ("brightness", "contrast", "saturation"):
            require(0 <= getattr(self, name) < 1, f"augment.{name}", "from 0 to below 1", getattr(self, name))
