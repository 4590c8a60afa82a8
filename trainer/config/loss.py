"""Settings of what training minimizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require


@dataclass(frozen=True)
class LossConfig:
    """What training minimizes; ``finetune.label_smoothing`` applies to each kind.

    Attributes:
        kind: ``"auto"``: ``"categorical_crossentropy"`` where each photo has one label, ``"binary_crossentropy"`` where
            it may have several. ``"focal"`` (Lin et al., "Focal Loss for Dense Object Detection", 2017) fits both.
        class_weights: ``"balanced"``: each class counts as if all had as many photos; ``"effective_number"``: the
            same with numbers that grow ever more slowly (Cui et al., "Class-Balanced Loss Based on Effective Number of
            Samples", 2019), which lies between that and ``"none"``.
        beta: Of the effective number ``(1 - beta^n) / (1 - beta)`` of n photos; the nearer to 1, the nearer to n.
        gamma: Of the focal loss: how much less what is answered well counts.
        alpha: Of the focal loss with several labels: weight of what is there, against ``1 - alpha`` of what isn't; 0:
            neither is weighted.
    """

    kind: Literal["auto", "categorical_crossentropy", "binary_crossentropy", "focal"] = "auto"
    class_weights: Literal["none", "balanced", "effective_number"] = "none"
    beta: float = 0.999
    gamma: float = 2.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        kinds = ("auto", "categorical_crossentropy", "binary_crossentropy", "focal")
        require(self.kind in kinds, "loss.kind", ", ".join(kinds), self.kind)
        weights = ("none", "balanced", "effective_number")
        require(self.class_weights in weights, "loss.class_weights", ", ".join(weights), self.class_weights)
        require(0 <= self.beta < 1, "loss.beta", "from 0 to below 1", self.beta)
        require(self.gamma >= 0, "loss.gamma", "at least 0", self.gamma)
        require(0 <= self.alpha < 1, "loss.alpha", "from 0 to below 1", self.alpha)
