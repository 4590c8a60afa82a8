"""Settings for a model's scores and for measuring its robustness."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.config.require import require, require_at_least


@dataclass(frozen=True)
class ScoresConfig:
    """Calibration of a model's scores, fitted on the validation split.

    Attributes:
        temperature_scaling: If True, the exported models divide their logits by one fitted temperature, so that of the
            predictions with a score of 0.9, 90% are correct (Guo et al., "On Calibration of Modern Neural Networks",
            2017).
        keep_known: Share of correct predictions to keep when the model reports "unknown". Its threshold is the highest
            certainty that keeps that many. 0: no threshold.
    """

    temperature_scaling: bool = True
    keep_known: float = 0.95

    def __post_init__(self) -> None:
        require(0 <= self.keep_known <= 1, "scores.keep_known", "between 0 and 1", self.keep_known)


@dataclass(frozen=True)
class RobustnessConfig:
    """Accuracy on pictures that are blurred, noisy, dark, compressed or rotated.

    Attributes:
        photos: Maximum number of test photos to use; 0: robustness isn't measured.
    """

    photos: int = 100

    def __post_init__(self) -> None:
        require_at_least(0, self, "robustness.", "photos")
