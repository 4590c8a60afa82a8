"""Settings for extending a run: what it keeps of its photos, and which run a new one extends."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require


@dataclass(frozen=True)
class KeepConfig:
    """What a run stores of its photos, so that it can be extended after they are deleted.

    Attributes:
        pictures: Maximum number of photos to copy, at the network's input size (about 25 KiB each at 224 pixels),
            drawn class by class: a quarter calibrates INT8, half decides the accuracy gate, a quarter is measured. The
            features of all photos are stored with them. 0: nothing is stored, and the run can't be extended.
    """

    pictures: int = 512

    def __post_init__(self) -> None:
        require(self.pictures == 0 or self.pictures >= 16, "keep.pictures", "0 or at least 16", self.pictures)


@dataclass(frozen=True)
class ExtendConfig:
    """Adding classes to a finished run: its network is kept, except for the head.

    Attributes:
        run: Folder of the run to extend; empty: none.
    """

    run: str = ""
