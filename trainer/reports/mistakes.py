"""The mistakes that a report shows as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.types import Evaluation, Pixels


@dataclass(frozen=True)
class Mistake:
    """A picture that the model got wrong.

    Attributes:
        path: Path relative to the data set's folder.
        label: True class; several are joined by " + ".
        answer: Predicted class; several are joined by " + ".
        score: Score of the wrong prediction, 0–1.
        thumbnail: uint8 (h, w, 3) RGB, 0–255, as the network saw it.
        fp32_answer: FP32's prediction; None without an FP32 model.
    """

    path: str
    label: str
    answer: str
    score: float
    thumbnail: NDArray[np.uint8]
    fp32_answer: str | None = None


def worst_mistakes(
    pixels: Pixels, evaluation: Evaluation, fp32: Evaluation | None = None, *, limit: int = 24
) -> tuple[Mistake, ...]:
    """Return the mistakes that the model was most confident of, worst first.

    In a multi-label evaluation these are the pictures with a score on the wrong side of its threshold, ordered by the
    distance from it.

    Args:
        pixels: The pictures that were measured, in the evaluation's order.
        evaluation: Evaluation of the model that the report is about.
        fp32: Evaluation of its baseline on the same pictures.
        limit: Maximum number of mistakes.
    """
    truth, predicted = _namer(evaluation, evaluation.labels), _namer(evaluation, evaluation.predicted)
    of_fp32 = _namer(fp32, fp32.predicted) if fp32 else None
    return tuple(
        Mistake(
            path=pixels.paths[index],
            label=truth(index),
            answer=predicted(index),
            score=score,
            thumbnail=pixels.images[index],
            fp32_answer=of_fp32(index) if of_fp32 else None,
        )
        for index, score in _ranked(evaluation)[:limit]
    )


def _namer(evaluation: Evaluation, values: Sequence[int]) -> Callable[[int], str]:
    """Return a function that names the class, or classes, which the values give a picture."""
    if isinstance(evaluation, MultiLabelEvaluation):
        names, rows = [metrics.label for metrics in evaluation.classes], evaluation.by_picture(values)
        return lambda index: " + ".join(n for n, there in zip(names, rows[index], strict=True) if there) or "nothing"
    return lambda index: evaluation.classes[values[index]].label


def _ranked(evaluation: Evaluation) -> list[tuple[int, float]]:
    """Return index and score of each wrong picture, worst first."""
    if isinstance(evaluation, MultiLabelEvaluation):
        truth, predicted, scores = (
            evaluation.by_picture(values) for values in (evaluation.labels, evaluation.predicted, evaluation.scores)
        )
        distances = abs(scores - evaluation.thresholds) * (truth != predicted)
        wrong = [index for index in range(len(truth)) if (truth[index] != predicted[index]).any()]
        wrong.sort(key=lambda index: -distances[index].max())
        return [(index, float(scores[index, distances[index].argmax()])) for index in wrong]
    pairs = zip(evaluation.labels, evaluation.predicted, strict=True)
    wrong = [index for index, (true, predicted) in enumerate(pairs) if true != predicted]
    return sorted(((index, evaluation.scores[index]) for index in wrong), key=lambda one: (-one[1], one[0]))
