"""Settings of what a model's scores say, and of what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require


@dataclass(frozen=True)
class ScoresConfig:
    """What a score says on the device. All of it is fitted on the validation split.

    Attributes:
        temperature_scaling: The logits of the models that ship are divided by one number, so that of the answers with
            a score of 0.9, 90% are right (Guo et al., "On Calibration of Modern Neural Networks", 2017).
        keep_known: Share of the right answers that stay answers; the highest certainty that keeps so many is the
            threshold below which the device says "unknown". 0: no threshold.
    """

    temperature_scaling: bool = True
    keep_known: float = 0.95

    def __post_init__(self) -> None:
        require(0 <= self.keep_known <= 1, "scores.keep_known", "from 0 to 1", self.keep_known)


@dataclass(frozen=True)
class RobustnessConfig:
    """How the models are measured on pictures that are blurred, noisy, dark, compressed or turned.

    Attributes:
        photos: Of the test split, at most; 0: not at all.
    """

    photos: int = 100

    def __post_init__(self) -> None:
        require(self.photos >= 0, "robustness.photos", "at least 0", self.photos)
