"""Settings of INT8 quantization and of the accuracy gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, require_at_least, require_choices

_WAYS = ("plain", "equalized")
_FURTHER = ("float16", "dynamic_range", "int16")


@dataclass(frozen=True)
class QuantizeConfig:
    """Full INT8 quantization after training (Jacob et al., 2018).

    Attributes:
        samples: Number of calibration pictures, stratified by class and taken from the training split only. 0: as many
            as it takes until two disjoint sets give the same ranges.
        ways: First steps of the quantization ladder, which are always tried: ``"plain"``, ``"equalized"`` (channels
            equalized, kernels rounded adaptively, biases corrected) or both, of which the better one is exported.
        io: dtype of the input and output tensors, ``"int8"`` or ``"uint8"``.
        also: Other formats to export and measure: ``"float16"``, ``"dynamic_range"``, ``"int16"``.
    """

    samples: int = 0
    ways: tuple[str, ...] = _WAYS
    io: Literal["int8", "uint8"] = "int8"
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ways", tuple(self.ways))
        object.__setattr__(self, "also", tuple(self.also))
        require_at_least(0, self, "quantize.", "samples")
        known = bool(self.ways) and set(self.ways) <= set(_WAYS)
        require(known, "quantize.ways", f"a list of one or more of {', '.join(_WAYS)}", list(self.ways))
        require_choices(self, "quantize.")
        further = set(self.also) <= set(_FURTHER)
        require(further, "quantize.also", f"a list with any of {', '.join(_FURTHER)}", list(self.also))


@dataclass(frozen=True)
class QatConfig:
    """Quantization-aware training (Jacob et al., 2018).

    Attributes:
        always: If True, always train this way; otherwise only if the accuracy gate needs it.
        epochs: Epochs of each quantization-aware training.
        learning_rate: Peak learning rate; 0: a tenth of ``finetune.learning_rate``.
    """

    always: bool = False
    epochs: int = 8
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        require_at_least(1, self, "qat.", "epochs")
        require_at_least(0, self, "qat.", "learning_rate")


@dataclass(frozen=True)
class GateConfig:
    """The accuracy gate: how much INT8 may lose compared with FP32.

    Attributes:
        max_drop: Largest accuracy drop, in percentage points of validation accuracy.
        min_agreement: Smallest share of validation photos with the same top-1 prediction, in percent.
        spare: Number of photos that may always be lost or predicted differently. With few photos, a single one is more
            than ``max_drop``.
        repair: If the gate fails, try the next steps of the quantization ladder, cheapest first.
        allow_float: Let the last step keep the layers that cost most accuracy in float; such a model isn't full INT8.
    """

    max_drop: float = 1.0
    min_agreement: float = 90.0
    spare: int = 0
    repair: bool = True
    allow_float: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.max_drop <= 100, "gate.max_drop", "between 0 and 100", self.max_drop)
        require(0 <= self.min_agreement <= 100, "gate.min_agreement", "between 0 and 100", self.min_agreement)
        require_at_least(0, self, "gate.", "spare")
