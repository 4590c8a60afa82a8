"""Settings of what a run keeps of its photos, and of a run that adds classes to another one's."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require


@dataclass(frozen=True)
class KeepConfig:
    """What a run keeps of its photos, so that it can be extended when they are gone.

    Attributes:
        pictures: Copies of so many photos at most, at the network's input size (about 25 KiB each at 224 pixels),
            drawn class by class: a quarter calibrates INT8, half decides the gate, a quarter measures. With them go the
            features of all photos. 0: the run keeps neither, and can't be extended.
    """

    pictures: int = 512

    def __post_init__(self) -> None:
        require(self.pictures == 0 or self.pictures >= 16, "keep.pictures", "0 or at least 16", self.pictures)


@dataclass(frozen=True)
class ExtendConfig:
    """Classes that are added to those of a finished run; its network stays as it is but for the head.

    Attributes:
        run: Folder of that run; empty: none is extended.
    """

    run: str = ""
