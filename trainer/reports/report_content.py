"""What a report tells: the values that a run hands over to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.evaluation.quality import Quality, measure_quality
from trainer.types import SPLITS, Dataset, Epoch, Evaluation, Pixels, Robustness, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime import UnknownThreshold


@dataclass(frozen=True)
class FileFacts:
    """A model file that the run made."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelSpeed:
    """How fast one model ran.

    Attributes:
        fps_inference: Frames a second of the network alone.
        fps_pipeline: Frames a second from camera-sized frame to categories.
        p50_ms: Median time of inference alone.
    """

    fps_inference: float
    fps_pipeline: float
    p50_ms: float


@dataclass(frozen=True)
class Speed:
    """INT8 beside FP32 in one interleaved benchmark.

    Attributes:
        models: By kind, ``"fp32"`` and ``"int8"``.
        conditions: Machine, backend, threads and kernels, in words for the reader.
        ratio: INT8's frames a second over FP32's, inference alone; None where one of them is missing.
        ratio_interval: Its 95% interval.
        details: The benchmark's own full result, for ``report.json``.
    """

    models: Mapping[str, ModelSpeed]
    conditions: str
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """The photos of a run.

    Attributes:
        counts: By split, the number of photos of each class in the labels' order.
        unreadable: Path and reason of those that were left out.
    """

    counts: Mapping[str, tuple[int, ...]]
    unreadable: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetFacts:
        """Counts a data set's photos."""
        counts = {name: [0] * len(dataset.labels) for name in SPLITS}
        for photo in dataset.photos:
            for label in photo.classes:
                counts[photo.split][label] += 1
        return cls({name: tuple(row) for name, row in counts.items()}, dataset.unreadable)


@dataclass(frozen=True)
class Mistake:
    """A picture that the model answered wrongly.

    Attributes:
        path: Relative to the data set's folder.
        label: Its true class.
        answer: What the model said.
        score: With which score, 0–1.
        fp32_answer: What the FP32 model said; None where there is no such model beside it.
        thumbnail: uint8 (h, w, 3) RGB, 0–255: what the network saw.
    """

    path: str
    label: str
    answer: str
    score: float
    thumbnail: NDArray[np.uint8]
    fp32_answer: str | None = None


@dataclass(frozen=True)
class StageTime:
    """One finished stage of the run; ``started`` is ISO 8601."""

    name: str
    seconds: float
    started: str = ""


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report tells. Only the first four are there for every report.

    Attributes:
        title: Of the page, for example the photo folder's name.
        labels: Names of the classes.
        evaluations: By kind (``"fp32"``, ``"int8"``), then by split.
        files: By kind.
        recipe: All settings, nested tables (`Recipe.to_dict`).
        history: The learning curves, in the order of training.
        verdict: The gate's; None where nothing was compared.
        speed: None where nothing was timed.
        dataset: None where there was no split data set.
        mistakes: Worst first (`worst_mistakes`).
        versions: Of the packages, by name.
        stages: In the order they ran.
        started: When the run was started, ISO 8601.
        notes: Warnings and remarks, each a sentence.
        compression_page: Name of the compression report beside this one; empty where there is none.
        temperature: By which the logits of the models were divided.
        unknown: By kind, the threshold below which an answer is "unknown"; without those that have none.
        robustness: By kind, on pictures that are worse; empty where it wasn't measured.
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
            raise ValueError(f"Expected evaluations of fp32, int8 or both, got {sorted(self.evaluations) or 'none'}.")
        for evaluation in evaluations:
            if len(evaluation.classes) != len(self.labels):
                raise ValueError(
                    f"Expected {len(self.labels)} classes, as there are labels, got {len(evaluation.classes)} "
                    f"from {evaluation.model} on {evaluation.split}."
                )

    @cached_property
    def quality(self) -> dict[str, dict[str, Quality]]:
        """What more the answers tell, by kind, then by split; not of several labels a photo."""
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
        """The models that were measured, FP32 first."""
        return tuple(kind for kind in ("fp32", "int8") if self.evaluations.get(kind))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that any model was measured on, in the order train, val, test, others."""
        names = dict.fromkeys(split for kind in self.kinds for split in self.evaluations[kind])
        order: dict[str, int] = {name: index for index, name in enumerate(SPLITS)}
        return tuple(sorted(names, key=lambda name: order.get(name, len(order))))

    @property
    def main_kind(self) -> str:
        """The model that the page is about: INT8 where there is one."""
        return self.kinds[-1]

    @property
    def main_split(self) -> str:
        """The split that the page is about: test where that model was measured on it."""
        measured = [split for split in self.splits if split in self.evaluations[self.main_kind]]
        return "test" if "test" in measured else measured[-1]


def worst_mistakes(
    pixels: Pixels, evaluation: Evaluation, fp32: Evaluation | None = None, *, limit: int = 24
) -> tuple[Mistake, ...]:
    """The wrong answers that the model was surest of, surest first.

    Args:
        pixels: The pictures that were measured, in the evaluation's order.
        evaluation: Of the model that the report is about.
        fp32: Of its baseline on the same pictures.
        limit: Most mistakes to return.
    """
    names = [metrics.label for metrics in evaluation.classes]
    wrong = [i for i, (t, a) in enumerate(zip(evaluation.labels, evaluation.predicted, strict=True)) if t != a]
    wrong.sort(key=lambda i: (-evaluation.scores[i], i))
    return tuple(
        Mistake(
            path=pixels.paths[i],
            label=names[evaluation.labels[i]],
            answer=names[evaluation.predicted[i]],
            score=evaluation.scores[i],
            thumbnail=pixels.images[i],
            fp32_answer=names[fp32.predicted[i]] if fp32 else None,
        )
        for i in wrong[:limit]
    )
