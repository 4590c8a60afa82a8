"""The promise of quantization, kept or not: INT8 against FP32 on the same pictures."""

from __future__ import annotations

from collections import Counter

from trainer.config import GateConfig
from trainer.evaluation.metrics import agreement, require_same_pictures, right_answers
from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.types import Evaluation, Verdict

COLLAPSED_SHARE = 0.9
"""A class that takes this share of INT8's answers is suspected of having swallowed the others."""

OTHERS_SHARE = 0.05
"""FP32 gives the other classes at least this share of its answers; below it there is nothing to swallow."""


def judge(fp32: Evaluation, int8: Evaluation, config: GateConfig) -> Verdict:
    """Decides whether INT8 keeps the promise.

    It doesn't where it loses more than ``config.max_drop`` points of accuracy (exactly that much passes), where it
    agrees with FP32 on less than ``config.min_agreement`` percent of the pictures, or where it collapsed to one class
    (`collapsed_class`), which a lenient setting of the other two must not hide. ``config.spare`` photos may be lost, or
    answered otherwise, in any case.

    With several labels a photo, each class of each photo is one answer, yes or no. Most of them are no and easily
    right, so there the macro F1, which only rightly found classes raise, may lose no more than the accuracy may; and a
    class has collapsed where FP32 finds it and INT8 never does.

    Args:
        fp32: The baseline on the deciding split.
        int8: The quantized model on the same pictures.
        config: What INT8 may lose.

    Raises:
        DatasetError: The two were measured on different pictures.
    """
    require_same_pictures(fp32, int8)
    # In counts: 0.9 - 0.89 is more than 0.01 in floats, and a drop of exactly max_drop has to pass.
    lost = right_answers(fp32) - right_answers(int8)
    drop, equal = 100 * lost / fp32.count, agreement(fp32, int8)
    spare = 100 * config.spare / fp32.count
    max_drop, min_agreement = max(config.max_drop, spare), min(config.min_agreement, 100 - spare)
    where = f"the {fp32.pictures:,} photos of the {fp32.split} split"
    reasons = []
    if drop > max_drop + 1e-9:
        reasons.append(
            f"INT8 loses {drop:.2f} points of accuracy on {where} ({100 * fp32.accuracy:.2f}% → "
            f"{100 * int8.accuracy:.2f}%); at most {max_drop:g} may be lost."
        )
    if equal < min_agreement - 1e-9:
        reasons.append(
            f"INT8 gives FP32's answer on {equal:.2f}% of {where}; at least {min_agreement:g}% is asked for."
        )
    if isinstance(fp32, MultiLabelEvaluation) and isinstance(int8, MultiLabelEvaluation):
        reasons += _lost_labels(fp32, int8, config, where)
    elif (index := collapsed_class(fp32, int8)) is not None:
        reasons.append(
            f"INT8 has collapsed to one class: it answers {int8.classes[index].label!r} on "
            f"{int8.predicted.count(index)} of {where}, FP32 on {fp32.predicted.count(index)}."
        )
    return Verdict(passed=not reasons, drop=drop, agreement=equal, reasons=tuple(reasons))


def _lost_labels(fp32: MultiLabelEvaluation, int8: MultiLabelEvaluation, config: GateConfig, where: str) -> list[str]:
    """What only models that answer each class by itself can lose."""
    reasons = []
    if 100 * (fp32.macro_f1 - int8.macro_f1) > config.max_drop + 1e-9:
        reasons.append(
            f"INT8 loses {100 * (fp32.macro_f1 - int8.macro_f1):.2f} points of macro F1 on {where} "
            f"({100 * fp32.macro_f1:.2f}% → {100 * int8.macro_f1:.2f}%); at most {config.max_drop:g} may be lost."
        )
    found = zip(fp32.classes, int8.classes, strict=True)
    if gone := [before.label for before, after in found if before.recall > 0 and after.recall == 0]:
        reasons.append(f"INT8 never finds {', '.join(gone)} on {where}, FP32 does.")
    return reasons


def collapsed_class(fp32: Evaluation, int8: Evaluation) -> int | None:
    """Index of the class that INT8 has collapsed to, or None.

    The rule: one class takes at least 90% of INT8's answers; FP32 gives the other classes at least 5% of its own; and
    more than half of those pictures went over to the one class. The last two keep a data set that really is mostly one
    class from being called a collapse.
    """
    index, votes = Counter(int8.predicted).most_common(1)[0]
    moved = [answer == index for before, answer in zip(fp32.predicted, int8.predicted, strict=True) if before != index]
    swallowed = (
        votes >= COLLAPSED_SHARE * int8.count
        and len(moved) >= OTHERS_SHARE * fp32.count
        and 2 * sum(moved) > len(moved)
    )
    return index if swallowed else None
