"""What a command gives back: the files that it made, and what was measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import GateError
from trainer.types.evaluation import Evaluation, Verdict
from trainer.types.models import LadderStep, Variant
from trainer.types.training import Extension


def require_kept(verdict: Verdict) -> None:
    """Raises a GateError with the reasons where the promise was not kept."""
    if not verdict.passed:
        raise GateError(" ".join(verdict.reasons))


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
        fp32: The baseline model file.
        int8: The quantized model file.
        report: ``report.html``.
        compression: ``compression.html``: what each step brought, and the way to INT8.
        card: ``model_card.md``.
        evaluations: By kind (``"fp32"``, ``"int8"``), then by split (``"val"``, ``"test"``).
        verdict: The gate's decision.
        speed: The benchmark's report, as `edge_runtime.benchmark.BenchmarkReport.to_dict` gives it.
        rungs: Steps of the quantization ladder that were tried, in order.
        variants: Every model file of the run: what each step brought.
        extension: How the known classes fared; None where the run extends none.
        few: What is to be known where photos were few, each a sentence.
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
        """Returns itself, or raises a GateError where INT8 lost more than the recipe allows."""
        require_kept(self.verdict)
        return self


@dataclass(frozen=True)
class QuantizedModel:
    """What quantizing a network from elsewhere made.

    Attributes:
        fp32: The baseline model file.
        int8: The quantized model file.
        evaluations: By kind, on the validation split of the representative photos.
        verdict: The gate's decision.
    """

    fp32: Path
    int8: Path
    evaluations: dict[str, Evaluation]
    verdict: Verdict


@dataclass(frozen=True)
class CompressedModel:
    """What the search found.

    Attributes:
        fp32: The network as it came, the baseline.
        int8: The compressed model.
        page: ``compression.html``.
        keep_macs: Share of the multiply-adds that it keeps.
        verdict: INT8 against the baseline, on the validation split.
        variants: All that were tried.
        rungs: Steps of the quantization ladder that were tried on the chosen network, in order.
    """

    fp32: Path
    int8: Path
    page: Path
    keep_macs: float
    verdict: Verdict
    variants: tuple[Variant, ...]
    rungs: tuple[LadderStep, ...]
