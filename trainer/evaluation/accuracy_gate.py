"""The accuracy gate: compare INT8 with FP32 on the same pictures."""

from __future__ import annotations

from collections import Counter

from trainer.config import GateConfig
from trainer.evaluation.metrics import agreement, require_same_pictures, right_answers
from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.types import Evaluation, Verdict

COLLAPSED_SHARE = 0.9
"""INT8 may have collapsed if one class takes at least this share of its predictions."""

OTHERS_SHARE = 0.05
"""Minimum share of FP32's predictions in the other classes; below it there is nothing to collapse."""


def judge(fp32: Evaluation, int8: Evaluation, config: GateConfig) -> Verdict:
    """Decide whether INT8 passes the accuracy gate.

    INT8 fails if its accuracy drop exceeds ``config.max_drop`` points (a drop of exactly that much passes), if it
    agrees with FP32 on less than ``config.min_agreement`` percent of the pictures, or if it has collapsed to one
    class (`collapsed_class`), however lenient the other two limits are. ``config.spare`` photos may always change.

    In a multi-label evaluation each class of each photo counts as one prediction. Most of these are easy negatives, so
    two more rules apply: the macro F1 may not drop by more than ``config.max_drop`` points either, and INT8 must find
    every class that FP32 finds.

    Args:
        fp32: Evaluation of the baseline on the split that decides.
        int8: Evaluation of the quantized model on the same pictures.
        config: Limits of the gate.

    Returns:
        The verdict, with a reason for each limit that was exceeded.

    Raises:
        DatasetError: The two were measured on different pictures.
    """
    require_same_pictures(fp32, int8)
    # Counts, not accuracies: 0.9 - 0.89 exceeds 0.01 in floats, and a drop of exactly max_drop has to pass.
    lost = right_answers(fp32) - right_answers(int8)
    drop, equal = 100 * lost / fp32.count, agreement(fp32, int8)
    spare = 100 * config.spare / fp32.count
    max_drop, min_agreement = max(config.max_drop, spare), min(config.min_agreement, 100 - spare)
    where = f"the {fp32.split} split ({fp32.pictures:,} photos)"
    reasons = []
    if drop > max_drop + 1e-9:
        reasons.append(
            f"Accuracy drops by {drop:.2f} points on {where}, from {100 * fp32.accuracy:.2f}% to "
            f"{100 * int8.accuracy:.2f}%; the limit is {max_drop:g}."
        )
    if equal < min_agreement - 1e-9:
        reasons.append(f"INT8 and FP32 agree on {equal:.2f}% of {where}; the minimum is {min_agreement:g}%.")
    if isinstance(fp32, MultiLabelEvaluation) and isinstance(int8, MultiLabelEvaluation):
        reasons += _lost_labels(fp32, int8, config, where)
    elif (index := collapsed_class(fp32, int8)) is not None:
        reasons.append(
            f"INT8 has collapsed to one class on {where}: it predicts {int8.classes[index].label!r} "
            f"{int8.predicted.count(index):,} times, FP32 {fp32.predicted.count(index):,} times."
        )
    return Verdict(passed=not reasons, drop=drop, agreement=equal, reasons=tuple(reasons))


def _lost_labels(fp32: MultiLabelEvaluation, int8: MultiLabelEvaluation, config: GateConfig, where: str) -> list[str]:
    """Return the reasons that only multi-label models can fail for."""
    reasons = []
    if 100 * (fp32.macro_f1 - int8.macro_f1) > config.max_drop + 1e-9:
        reasons.append(
            f"Macro F1 drops by {100 * (fp32.macro_f1 - int8.macro_f1):.2f} points on {where}, from "
            f"{100 * fp32.macro_f1:.2f}% to {100 * int8.macro_f1:.2f}%; the limit is {config.max_drop:g}."
        )
    found = zip(fp32.classes, int8.classes, strict=True)
    if gone := [before.label for before, after in found if before.recall > 0 and after.recall == 0]:
        reasons.append(f"INT8 never finds {', '.join(gone)} on {where}, but FP32 does.")
    return reasons


def collapsed_class(fp32: Evaluation, int8: Evaluation) -> int | None:
    """Return the index of the class that INT8 has collapsed to, or None.

    INT8 has collapsed if one class takes at least 90% of its predictions, FP32 gives the other classes at least 5% of
    its own, and more than half of those pictures moved to the one class. The last two conditions keep a data set that
    is mostly one class from being called a collapse.
    """
    index, votes = Counter(int8.predicted).most_common(1)[0]
    moved = [after == index for before, after in zip(fp32.predicted, int8.predicted, strict=True) if before != index]
    collapsed = (
        votes >= COLLAPSED_SHARE * int8.count
        and len(moved) >= OTHERS_SHARE * fp32.count
        and 2 * sum(moved) > len(moved)
    )
    return index if collapsed else None
