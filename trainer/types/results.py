"""Results of training, quantizing and compressing: the files made, and their measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.types.evaluation import Evaluation, Verdict
from trainer.types.models import LadderStep, Variant
from trainer.types.training import Extension


@dataclass(frozen=True)
class RunResult:
    """Result of a training run.

    Attributes:
        fp32: Path of the FP32 model, the baseline.
        int8: Path of the INT8 model.
        report: Path of ``report.html``.
        compression: Path of ``compression.html``: effect of every compression step, and the quantization ladder.
        card: Path of ``model_card.md``.
        evaluations: Measurements by model (``"fp32"``, ``"int8"``), then by split (``"val"``, ``"test"``).
        verdict: Decision of the accuracy gate.
        speed: Benchmark report, as returned by `edge_runtime.benchmark.BenchmarkReport.to_dict`.
        rungs: Steps of the quantization ladder that were tried, in order.
        variants: Measurements of every model file of the run.
        extension: Effect on the known classes, if the run extends another one; otherwise None.
        few: Notes for runs with few photos, a sentence each.
    """

    fp32: Path
    int8: Path
    report: Path
    compression: Path
    card: Path
    evaluations: dict[str, dict[str, Evaluation]]
    verdict: Verdict
    speed: dict[str, Any]
    rungs: tuple[LadderStep, ...]
    variants: tuple[Variant, ...]
    extension: Extension | None = None
    few: tuple[str, ...] = ()

    def require_kept(self) -> RunResult:
        """Return the result itself, to chain the check to `trainer.train`.

        Raises:
            GateError: The INT8 model failed the accuracy gate.
        """
        self.verdict.require_passed()
        return self


@dataclass(frozen=True)
class QuantizedModel:
    """Result of quantizing an existing Keras model.

    Attributes:
        fp32: Path of the FP32 model, the baseline.
        int8: Path of the INT8 model.
        evaluations: Measurements by model (``"fp32"``, ``"int8"``) on the validation split of the photos.
        verdict: Decision of the accuracy gate.
    """

    fp32: Path
    int8: Path
    evaluations: dict[str, Evaluation]
    verdict: Verdict


@dataclass(frozen=True)
class CompressedModel:
    """Result of compressing an existing Keras model.

    Attributes:
        fp32: Path of the unchanged network in FP32, the baseline.
        int8: Path of the compressed INT8 model.
        page: Path of ``compression.html``.
        keep_macs: Share of the multiply-adds that the compressed model keeps, 0–1.
        verdict: Decision of the accuracy gate, INT8 against the baseline on the validation split.
        variants: Measurements of every model that was tried.
        rungs: Steps of the quantization ladder that were tried on the chosen network, in order.
    """

    fp32: Path
    int8: Path
    page: Path
    keep_macs: float
    verdict: Verdict
    variants: tuple[Variant, ...]
    rungs: tuple[LadderStep, ...]
