"""Add to a model's manifest what is known only after measuring: accuracy, thresholds and golden samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.evaluation.metrics import agreement
from trainer.evaluation.multi_label import MultiLabelEvaluation, thresholds_of
from trainer.evaluation.unknown import fit_unknown
from trainer.runs.artifacts import MEASURED_SPLITS, read_dataset, read_evaluations, read_pixels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime import MeasuredAccuracy
    from trainer.runs.run import Run
    from trainer.types import Evaluation

_PHOTOS, _PATTERN_SEEDS = 1, (1, 2)
_SIDE = 48
"""Side of a golden photo in pixels: golden samples should be small compared with a model of a few hundred KiB."""


def stamp(run: Run, kind: str, path: Path) -> None:
    """Write the measurements into a model file of the run, without changing the model's own bytes.

    Args:
        run: Run with a finished evaluate stage.
        kind: ``"fp32"`` or ``"int8"``; each has its own threshold for unknown pictures.
        path: Path of the model file.
    """
    from edge_runtime import Classifier
    from edge_runtime.inference.golden import make_sample
    from trainer.export.model_file import restamp

    evaluations = read_evaluations(run)
    with Classifier(path) as classifier:
        frames: list[NDArray[np.uint8] | int] = [*_photos(run, evaluations), *_PATTERN_SEEDS]
        golden = tuple(make_sample(classifier, frame) for frame in frames)
        manifest = classifier.model.manifest
    assert manifest is not None  # the quantize stage wrote it
    keep = run.recipe.scores.keep_known if manifest.activation == "softmax" else 0.0
    decided = evaluations[kind]["val"]
    restamp(
        path,
        replace(
            manifest,
            accuracy=_accuracy(evaluations),
            golden=golden,
            thresholds=thresholds_of(decided),
            unknown=fit_unknown(decided, keep),
        ),
    )


def _accuracy(evaluations: dict[str, dict[str, Evaluation]]) -> tuple[MeasuredAccuracy, ...]:
    from edge_runtime import MeasuredAccuracy

    measured = []
    for split in MEASURED_SPLITS:
        fp32, int8 = evaluations["fp32"][split], evaluations["int8"][split]
        share = agreement(fp32, int8) / 100
        measured.append(MeasuredAccuracy(split, fp32.pictures, fp32.accuracy, int8.accuracy, share, int8.kernels))
    return tuple(measured)


def _photos(run: Run, evaluations: dict[str, dict[str, Evaluation]]) -> list[NDArray[np.uint8]]:
    """Return small copies of the validation pictures that both models classify correctly, where INT8 is most certain.

    Certain predictions differ little between kernel implementations, which makes the check on the device reliable.
    """
    import cv2

    fp32, int8 = evaluations["fp32"]["val"], evaluations["int8"]["val"]
    if isinstance(fp32, MultiLabelEvaluation) and isinstance(int8, MultiLabelEvaluation):
        surest = _surest_of_all(fp32, int8)
    else:
        predictions = enumerate(zip(fp32.labels, fp32.predicted, int8.predicted, strict=True))
        correct = [index for index, (label, a, b) in predictions if label == a == b]
        surest = sorted(correct, key=lambda index: -int8.scores[index])[:_PHOTOS]
    images = read_pixels(run, read_dataset(run), "val").images
    return [cv2.resize(images[index], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for index in surest]


def _surest_of_all(fp32: MultiLabelEvaluation, int8: MultiLabelEvaluation) -> list[int]:
    """Return the multi-label pictures that both models classify correctly, by the certainty of their weakest class."""
    correct = [model.by_picture(model.labels) == model.by_picture(model.predicted) for model in (fp32, int8)]
    certainty = abs(int8.by_picture(int8.scores) - int8.thresholds).min(axis=1)
    both = (correct[0] & correct[1]).all(axis=1)
    return sorted(both.nonzero()[0].tolist(), key=lambda index: -certainty[index])[:_PHOTOS]
