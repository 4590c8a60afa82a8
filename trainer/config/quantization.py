"""Settings of the way to integers, and of what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require

WAYS = ("plain", "equalized")


@dataclass(frozen=True)
class QuantizeConfig:
    """Full INT8 quantization after training (Jacob et al., 2018).

    Attributes:
        samples: Pictures of the representative dataset, class-stratified, from the training split alone; 0: as many
            as it takes for two disjoint sets to give the same ranges.
        ways: The first rungs of the ladder, which are tried in any case: ``"plain"``, ``"equalized"`` (channels
            balanced, kernels rounded, biases corrected) or both, of which the better one ships.
        io: dtype of the input and output tensors, ``"int8"`` or ``"uint8"``.
        also: Further files that are made and measured: ``"float16"``, ``"dynamic_range"``, ``"int16"``.
    """

    samples: int = 0
    ways: tuple[str, ...] = WAYS
    io: Literal["int8", "uint8"] = "int8"
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ways", tuple(self.ways))
        object.__setattr__(self, "also", tuple(self.also))
        require(self.samples >= 0, "quantize.samples", "at least 0", self.samples)
        known = bool(self.ways) and set(self.ways) <= set(WAYS)
        require(known, "quantize.ways", f"one or more of {', '.join(WAYS)}", list(self.ways))
        require(self.io in ("int8", "uint8"), "quantize.io", "int8 or uint8", self.io)
        kinds = ("float16", "dynamic_range", "int16")
        require(set(self.also) <= set(kinds), "quantize.also", f"some of {', '.join(kinds)}", list(self.also))


@dataclass(frozen=True)
class QatConfig:
    """Quantization-aware training (Jacob et al., 2018).

    Attributes:
        always: Trains so in any case; otherwise only where the gate asks for it.
        epochs: Of each such training.
        learning_rate: The peak; 0: a tenth of ``finetune.learning_rate``.
    """

    always: bool = False
    epochs: int = 8
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "qat.epochs", "at least 1", self.epochs)
        require(self.learning_rate >= 0, "qat.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class GateConfig:
    """What INT8 may lose against FP32.

    Attributes:
        max_drop: Points of validation accuracy.
        min_agreement: Least share of equal top-1 answers, in percent.
        spare: Photos that may be lost, or answered otherwise, in any case: of few photos, one is more than
            ``max_drop``.
        repair: Where the promise isn't kept, better ways to quantize are tried, cheapest first.
        allow_float: The last of them may leave the layers that cost most in float; the model is then not full integer.
    """

    max_drop: float = 1.0
    min_agreement: float = 90.0
    spare: int = 0
    repair: bool = True
    allow_float: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.max_drop <= 100, "gate.max_drop", "from 0 to 100", self.max_drop)
        require(0 <= self.min_agreement <= 100, "gate.min_agreement", "from 0 to 100", self.min_agreement)
        require(self.spare >= 0, "gate.spare", "at least 0", self.spare)
