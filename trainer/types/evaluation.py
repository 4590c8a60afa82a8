"""How models answered, and what the gate says to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MATRIX_CLASSES = 100
"""A confusion matrix is written out for at most so many classes: it grows with their square, and the answers tell it
too."""


@dataclass(frozen=True)
class ClassMetrics:
    """One class's figures, 0–1 (scikit-learn's precision_recall_fscore_support)."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """One model file measured on one split through `edge_runtime.Classifier`.

    Attributes:
        model: File name.
        split: ``"train"``, ``"val"``, ``"test"`` or the name of a folder.
        count: Number of pictures.
        accuracy: Share of right top-1 answers, 0–1.
        macro_f1: Mean of the classes' F1, 0–1.
        classes: Per class.
        labels: True class indices, in the split's order.
        predicted: Top-1 class indices, in the same order.
        scores: Score of the top-1 answer, 0–1.
        latency_ms: Median time of inference alone.
        kernels: What ran it: backend, version, kernels; for the reader.
        all_scores: Those of all the classes, float32 (N, classes), in the same order; None where they weren't kept or
            are too many.
            They aren't part of the JSON.
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
        """Number of pictures that were asked about."""
        return self.count

    @cached_property
    def confusion(self) -> Counter[tuple[int, int]]:
        """How often each pair of true and predicted index occurs; those that don't are left out."""
        return Counter(zip(self.labels, self.predicted, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with ``confusion[true][predicted]``; None for more than `MATRIX_CLASSES` classes."""
        classes = range(len(self.classes))
        values = asdict(replace(self, all_scores=None))
        del values["all_scores"]
        matrix = None
        if len(classes) <= MATRIX_CLASSES:
            matrix = [[self.confusion[true, answer] for answer in classes] for true in classes]
        return {**values, "confusion": matrix}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """From what `to_dict` gave."""
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
    """One model on pictures that are worse than those it learned from.

    Attributes:
        kind: ``"blur"``, ``"noise"``, ``"darkness"``, ``"jpeg"``, ``"rotation"``; ``"none"``: the pictures as they are.
        severity: 1 to 3; 0 for ``"none"``.
        amount: What the severity means, in words.
        accuracy: 0–1.
        count: Pictures.
    """

    kind: str
    severity: int
    amount: str
    accuracy: float
    count: int


@dataclass(frozen=True)
class Verdict:
    """The gate's decision on INT8, from the validation split.

    Attributes:
        passed: Whether INT8 keeps the promise.
        drop: FP32's accuracy minus INT8's, in points of percent.
        agreement: Share of equal top-1 answers, in percent.
        reasons: What was not kept; empty when passed.
    """

    passed: bool
    drop: float
    agreement: float
    reasons: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """INT8's accuracy minus FP32's, in points of percent: as reports show it, and never minus zero."""
        return 0.0 - self.drop

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verdict:
        """From what `to_dict` gave."""
        return cls(**{**values, "reasons": tuple(values["reasons"])})
