"""Settings of the training loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, require_choices


@dataclass(frozen=True)
class LossConfig:
    """The training loss; ``finetune.label_smoothing`` applies to every kind.

    Attributes:
        kind: ``"auto"``: ``"categorical_crossentropy"`` for photos with one label each, ``"binary_crossentropy"`` for
            photos with several. ``"focal"`` (Lin et al., "Focal Loss for Dense Object Detection", 2017) works for both.
        class_weights: ``"balanced"`` weights each class as if all had the same number of photos; ``"effective_number"``
            lies between that and ``"none"`` (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples",
            2019).
        beta: β of the effective number ``(1 - beta^n) / (1 - beta)`` of n photos; the closer to 1, the closer to n.
        gamma: γ of the focal loss; the higher, the less well-classified photos count.
        alpha: α of the focal loss with several labels: weight of the classes in the picture, against ``1 - alpha`` for
            the others. 0: both weigh the same.
    """

    kind: Literal["auto", "categorical_crossentropy", "binary_crossentropy", "focal"] = "auto"
    class_weights: Literal["none", "balanced", "effective_number"] = "none"
    beta: float = 0.999
    gamma: float = 2.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        require_choices(self, "loss.")
        require(0 <= self.beta < 1, "loss.beta", "at least 0 and below 1", self.beta)
        require(self.gamma >= 0, "loss.gamma", "at least 0", self.gamma)
        require(0 <= self.alpha < 1, "loss.alpha", "at least 0 and below 1", self.alpha)
