"""Completes an exported model's manifest with what is known only after measuring: accuracy, threshold, samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.artifacts import MEASURED_SPLITS, read_dataset, read_evaluations, read_pixels
from trainer.evaluation.metrics import agreement
from trainer.evaluation.unknown import fit_unknown

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime import MeasuredAccuracy
    from trainer.run import Run
    from trainer.types import Evaluation

_PHOTOS, _PATTERN_SEEDS = 1, (1, 2)
_SIDE = 48
"""Side of a golden photo in pixels: a file of a few hundred KiB should not be made of test pictures."""


def stamp(run: Run, kind: str, path: Path) -> None:
    """Writes what was measured into a model file of the run; the model's own bytes stay as they are.

    Args:
        run: Its evaluate stage is done.
        kind: ``"fp32"`` or ``"int8"``; each has its own threshold for unknown pictures.
        path: The file.
    """
    from edge_runtime import Classifier
    from edge_runtime.golden import make_sample
    from trainer.conversion.export import restamp

    evaluations = read_evaluations(run)
    with Classifier(path) as classifier:
        frames: list[NDArray[np.uint8] | int] = [*_photos(run, evaluations), *_PATTERN_SEEDS]
        golden = tuple(make_sample(classifier, frame) for frame in frames)
        manifest = classifier.model.manifest
    assert manifest is not None  # the quantize stage wrote it
    keep = run.recipe.scores.keep_known if manifest.activation == "softmax" else 0.0
    unknown = fit_unknown(evaluations[kind]["val"], keep)
    restamp(path, replace(manifest, accuracy=_accuracy(evaluations), golden=golden, unknown=unknown))


def _accuracy(evaluations: dict[str, dict[str, Evaluation]]) -> tuple[MeasuredAccuracy, ...]:
    from edge_runtime import MeasuredAccuracy

    measured = []
    for split in MEASURED_SPLITS:
        fp32, int8 = evaluations["fp32"][split], evaluations["int8"][split]
        share = agreement(fp32, int8) / 100
        measured.append(MeasuredAccuracy(split, fp32.count, fp32.accuracy, int8.accuracy, share, int8.kernels))
    return tuple(measured)


def _photos(run: Run, evaluations: dict[str, dict[str, Evaluation]]) -> list[NDArray[np.uint8]]:
    """Small copies of the validation pictures that both models answer rightly and INT8 is surest of.

    Sure answers move little between families of kernels, which makes the check on the device a firm one.
    """
    import cv2

    fp32, int8 = evaluations["fp32"]["val"], evaluations["int8"]["val"]
    answers = enumerate(zip(fp32.labels, fp32.predicted, int8.predicted, strict=True))
    right = [index for index, (label, a, b) in answers if label == a == b]
    surest = sorted(right, key=lambda index: -int8.scores[index])[:_PHOTOS]
    images = read_pixels(run, read_dataset(run), "val").images
    return [cv2.resize(images[index], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for index in surest]
