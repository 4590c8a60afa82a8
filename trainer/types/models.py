"""What is known of a run's model files: quantization steps, cost of the networks, measurements."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LadderStep:
    """One step of the quantization ladder, measured on the validation split.

    Attributes:
        name: Name of the step, such as ``"plain"`` or ``"qat"``; its file is ``int8_<name>.tflite``.
        title: Title for reports.
        accuracy: Top-1 accuracy on the validation split, 0–1.
        drop: FP32's accuracy minus this one, in percentage points.
        agreement: Share of predictions equal to FP32's, in percent.
        passed: Whether the model passes the accuracy gate.
        seconds: Time that the step took.
        full_integer: False if some layers stayed in float.
        remark: Note for readers, such as the number of pictures or the layers left in float.
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
        """INT8's accuracy minus FP32's in percentage points, as reports show it (never -0.0)."""
        return 0.0 - self.drop


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network, independent of its precision.

    Attributes:
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in the kernels, 0–1.
    """

    macs: int
    sparsity: float


@dataclass(frozen=True)
class Variant:
    """One model file of a run, measured together with the others.

    Attributes:
        name: Unique name of network and precision, such as ``"pruned_int8"``.
        network: Last change to the network: ``"teacher"``, ``"student"``, ``"distilled"``, ``"pruned"``,
            ``"sparse"`` or ``"clustered"``.
        precision: ``"fp32"``, ``"int8"``, ``"float16"``, ``"dynamic_range"``, ``"int16"`` or ``"mixed"`` (INT8 with
            some layers in float).
        title: Title for reports.
        accuracies: Top-1 accuracy by split, 0–1.
        size_bytes: Size of the file.
        gzip_bytes: Size of the file after gzip.
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in the kernels, 0–1.
        latency_ms: Median latency of the inference alone in milliseconds, measured in turns with the other variants.
        speedup: Ratio to the baseline, with the low and high end of its 95% interval; None for the baseline itself.
        baseline: Whether the others are compared with this one.
        ships: Whether this is one of the run's two results.
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
        """Return a JSON-serializable dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """Restore what `to_dict` returned."""
        speedup = values["speedup"]
        return cls(**{**values, "speedup": tuple(speedup) if speedup else None})
