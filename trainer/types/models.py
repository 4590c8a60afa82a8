"""The ways to a model file, and what came of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LadderStep:
    """One way to quantize that the gate tried.

    Attributes:
        name: Of the way, such as ``"plain"`` or ``"qat"``; its file is ``int8_<name>.tflite``.
        title: For people.
        accuracy: On the validation split, 0–1.
        drop: FP32's accuracy minus this, in points of percent.
        agreement: Share of answers that equal FP32's, in percent.
        passed: Whether the gate would let it through.
        seconds: That it took.
        full_integer: False where layers were left in float.
        remark: What a reader should know, such as the number of pictures or the layers left in float.
        chosen: Whether this is the model that ships.
    """

    name: str
    title: str
    accuracy: float
    drop: float
    agreement: float
    passed: bool
    seconds: float
    full_integer: bool = True
    remark: str = ""
    chosen: bool = False

    @property
    def gain(self) -> float:
        """INT8's accuracy minus FP32's, in points of percent: as reports show it, and never minus zero."""
        return 0.0 - self.drop


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs, in whatever precision.

    Attributes:
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in its kernels, 0–1.
    """

    macs: int
    sparsity: float


@dataclass(frozen=True)
class Variant:
    """One model file of a run, measured beside the others.

    Attributes:
        name: Unique in the run, the file's stem: network and precision, such as ``"pruned_int8"``.
        network: What was done to the network last: ``"teacher"``, ``"student"``, ``"distilled"``, ``"pruned"``,
            ``"sparse"`` or ``"clustered"``.
        precision: ``"fp32"``, ``"int8"``, ``"float16"``, ``"dynamic_range"``, ``"int16"`` or ``"mixed"`` (INT8 with
            layers in float).
        title: For people.
        accuracies: By split, 0–1.
        size_bytes: Of the file.
        gzip_bytes: Of the file after gzip.
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in its kernels, 0–1.
        latency_ms: Median time of inference alone, all variants interleaved.
        speedup: Against the baseline: ratio, low and high end of its 95% interval; None for the baseline itself.
        baseline: Whether the others are compared with this one.
        ships: Whether it is one of the run's two models.
    """

    name: str
    network: str
    precision: str
    title: str
    accuracies: dict[str, float]
    size_bytes: int
    gzip_bytes: int
    macs: int
    sparsity: float
    latency_ms: float
    speedup: tuple[float, float, float] | None = None
    baseline: bool = False
    ships: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """From what `to_dict` gave."""
        speedup = values["speedup"]
        return cls(**{**values, "speedup": tuple(speedup) if speedup else None})
