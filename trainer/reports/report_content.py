"""Contents of a report, as a run hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.evaluation.quality import Quality, measure_quality
from trainer.reports.mistakes import Mistake
from trainer.types import SPLITS, Dataset, Epoch, Evaluation, Robustness, Verdict

if TYPE_CHECKING:
    from edge_runtime import UnknownThreshold


@dataclass(frozen=True)
class FileFacts:
    """Model file that the run made."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelSpeed:
    """Speed of one model.

    Attributes:
        fps_inference: Frames per second, inference only.
        fps_pipeline: Frames per second from camera-sized frame to prediction.
        p50_ms: Median inference time in milliseconds.
    """

    fps_inference: float
    fps_pipeline: float
    p50_ms: float


@dataclass(frozen=True)
class Speed:
    """Speed of INT8 and FP32 in one interleaved benchmark.

    Attributes:
        models: Speed by precision, ``"fp32"`` and ``"int8"``.
        conditions: Description of machine, backend, threads and kernels.
        ratio: INT8's frames per second over FP32's, inference only; None if one is missing.
        ratio_interval: 95% interval of the ratio.
        details: Full result of the benchmark, for ``report.json``.
    """

    models: Mapping[str, ModelSpeed]
    conditions: str
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """Photos of a run.

    Attributes:
        counts: Number of photos of each class, in the order of the labels, by split.
        unreadable: Path and reason of each photo that was left out.
    """

    counts: Mapping[str, tuple[int, ...]]
    unreadable: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetFacts:
        """Count a data set's photos."""
        counts = {name: [0] * len(dataset.labels) for name in SPLITS}
        for photo in dataset.photos:
            for label in photo.classes:
                counts[photo.split][label] += 1
        return cls({name: tuple(row) for name, row in counts.items()}, dataset.unreadable)


@dataclass(frozen=True)
class StageTime:
    """Finished stage of a run; ``started`` is ISO 8601."""

    name: str
    seconds: float
    started: str = ""


@dataclass(frozen=True)
class ReportContent:
    """Contents of a report. Only the first four are always there.

    Attributes:
        title: Title of the page, such as the photo folder's name.
        labels: Names of the classes.
        evaluations: Evaluations by precision (``"fp32"``, ``"int8"``), then by split.
        files: Model files by precision.
        recipe: All settings as nested tables (`Recipe.to_dict`).
        history: Epochs in the order of training.
        verdict: Verdict of the accuracy gate; None if nothing was compared.
        speed: Speed of the models; None if it wasn't measured.
        dataset: Photos of the run; None without a split data set.
        mistakes: Mistakes to show, worst first (`worst_mistakes`).
        versions: Versions of the packages by name.
        stages: Finished stages in order.
        started: Start of the run, ISO 8601.
        notes: Warnings and remarks, each a sentence.
        compression_page: File name of the compression report beside this one; empty if there is none.
        temperature: Temperature by which the models' logits were divided.
        unknown: Threshold below which a prediction is "unknown", by precision.
        robustness: Accuracy on corrupted pictures by precision; empty if it wasn't measured.

    Raises:
        ValueError: There are no evaluations, or their classes don't match the labels.
    """

    title: str
    labels: tuple[str, ...]
    evaluations: Mapping[str, Mapping[str, Evaluation]]
    files: Mapping[str, FileFacts]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Epoch, ...] = ()
    verdict: Verdict | None = None
    speed: Speed | None = None
    dataset: DatasetFacts | None = None
    mistakes: tuple[Mistake, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    started: str = ""
    notes: tuple[str, ...] = ()
    compression_page: str = ""
    temperature: float = 1.0
    unknown: Mapping[str, UnknownThreshold] = field(default_factory=dict)
    robustness: Mapping[str, tuple[Robustness, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        evaluations = [evaluation for splits in self.evaluations.values() for evaluation in splits.values()]
        if not evaluations or not set(self.evaluations) <= {"fp32", "int8"}:
            given = ", ".join(sorted(self.evaluations)) or "none"
            raise ValueError(f"A report needs evaluations of fp32, int8 or both, not of {given}.")
        for evaluation in evaluations:
            if len(evaluation.classes) != len(self.labels):
                raise ValueError(
                    f"Expected {len(self.labels)} classes for {len(self.labels)} labels, "
                    f"got {len(evaluation.classes)} from {evaluation.model} on {evaluation.split}."
                )

    @cached_property
    def quality(self) -> dict[str, dict[str, Quality]]:
        """Further metrics by precision, then by split; empty for multi-label models."""
        return {
            kind: {
                split: measure_quality(evaluation)
                for split, evaluation in self.evaluations[kind].items()
                if not isinstance(evaluation, MultiLabelEvaluation)
            }
            for kind in self.kinds
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """Precisions that were measured, FP32 first."""
        return tuple(kind for kind in ("fp32", "int8") if self.evaluations.get(kind))

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that any model was measured on, in the order train, val, test, others."""
        names = dict.fromkeys(split for kind in self.kinds for split in self.evaluations[kind])
        order: dict[str, int] = {name: index for index, name in enumerate(SPLITS)}
        return tuple(sorted(names, key=lambda name: order.get(name, len(order))))

    @property
    def main_kind(self) -> str:
        """Precision of the model that the page is about: INT8 if there is one."""
        return self.kinds[-1]

    @property
    def main_split(self) -> str:
        """Split that the page is about: test if that model was measured on it, else the last one."""
        measured = [split for split in self.splits if split in self.evaluations[self.main_kind]]
        return "test" if "test" in measured else measured[-1]
