"""Measured models, and the verdict of the accuracy gate."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainer.errors import GateError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MATRIX_CLASSES = 100
"""Largest number of classes for which JSON holds the confusion matrix, which grows with its square. Labels and
predictions hold the same information."""


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class, 0–1, as computed by scikit-learn's `precision_recall_fscore_support`."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and latency of one model file on one split, measured through `edge_runtime.Classifier`.

    Attributes:
        model: File name.
        split: ``"train"``, ``"val"``, ``"test"`` or the name of a folder.
        count: Number of pictures.
        accuracy: Top-1 accuracy, 0–1.
        macro_f1: Unweighted mean of the F1 scores of all classes, 0–1.
        classes: Metrics per class.
        labels: True class indices, in the split's order.
        predicted: Top-1 class indices, in the same order.
        scores: Scores of the top-1 predictions, 0–1.
        latency_ms: Median latency of the inference alone, in milliseconds.
        kernels: Backend, version and kernels that ran the model, as text for readers.
        all_scores: Scores of all classes, float32 (N, classes), in the same order; None if they were not kept or are
            too many. Not part of the JSON.
    """

    model: str
    split: str
    count: int
    accuracy: float
    macro_f1: float
    classes: tuple[ClassMetrics, ...]
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    scores: tuple[float, ...]
    latency_ms: float
    kernels: str
    all_scores: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def pictures(self) -> int:
        """Number of pictures measured."""
        return self.count

    @cached_property
    def confusion(self) -> Counter[tuple[int, int]]:
        """Sparse confusion matrix: number of pictures by (true, predicted) index."""
        return Counter(zip(self.labels, self.predicted, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict; ``confusion[true][predicted]`` is None above `MATRIX_CLASSES` classes."""
        classes = range(len(self.classes))
        values = asdict(replace(self, all_scores=None))
        del values["all_scores"]
        matrix = None
        if len(classes) <= MATRIX_CLASSES:
            matrix = [[self.confusion[true, predicted] for predicted in classes] for true in classes]
        return {**values, "confusion": matrix}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Restore what `to_dict` returned."""
        return cls(
            **{
                **{name: value for name, value in values.items() if name != "confusion"},
                "classes": tuple(ClassMetrics(**c) for c in values["classes"]),
                "labels": tuple(values["labels"]),
                "predicted": tuple(values["predicted"]),
                "scores": tuple(values["scores"]),
            }
        )


@dataclass(frozen=True)
class Robustness:
    """Accuracy of one model on degraded pictures.

    Attributes:
        kind: ``"blur"``, ``"noise"``, ``"darkness"``, ``"jpeg"``, ``"rotation"``; ``"none"`` for unchanged pictures.
        severity: Severity of the degradation, 1 to 3; 0 for ``"none"``.
        amount: Description of the severity.
        accuracy: Top-1 accuracy, 0–1.
        count: Number of pictures.
    """

    kind: str
    severity: int
    amount: str
    accuracy: float
    count: int


@dataclass(frozen=True)
class Verdict:
    """The accuracy gate's decision on the INT8 model, from the validation split.

    Attributes:
        passed: Whether the INT8 model passed.
        drop: FP32's accuracy minus INT8's, in percentage points.
        agreement: Share of equal top-1 predictions, in percent.
        reasons: Why it failed, a sentence each; empty if it passed.
    """

    passed: bool
    drop: float
    agreement: float
    reasons: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """INT8's accuracy minus FP32's in percentage points, as reports show it (never -0.0)."""
        return 0.0 - self.drop

    def require_passed(self) -> None:
        """Do nothing if the gate passed.

        Raises:
            GateError: The gate failed; the message gives the reasons.
        """
        if not self.passed:
            raise GateError(" ".join(self.reasons))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verdict:
        """Restore what `to_dict` returned."""
        return cls(**{**values, "reasons": tuple(values["reasons"])})
