"""Notes for reports on few photos: how uncertain the accuracy is, and what more photos would bring."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING

from trainer.evaluation.metrics import accuracy_interval
from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    from trainer.types import Evaluation

_WIDE = 0.1
"""Half width of the accuracy's interval from which a note is due."""


def few_notes(
    test: Evaluation, by_photos: Sequence[tuple[float, float]], undone: tuple[float, float] | None = None
) -> tuple[str, ...]:
    """Return notes about the uncertainty that few photos cause; empty with plenty of photos.

    Args:
        test: Evaluation of the model that ships, on the test split; multi-label models get no notes about accuracy.
        by_photos: Mean number of photos per class and accuracy, 0–1, from `trainer.evaluation.more_photos`; empty if it
            wasn't measured.
        undone: Validation accuracy, 0–1, before and after a fine-tuning that was undone, else None.
    """
    notes = []
    if undone:
        notes.append(
            f"Fine-tuning was undone because it lowered the validation accuracy from {undone[0]:.1%} (head on "
            f"pretrained features) to {undone[1]:.1%}. It helps with more photos."
        )
    if isinstance(test, MultiLabelEvaluation):  # dependent predictions: no such interval
        return tuple(notes)
    low, high = accuracy_interval(test)
    if high - low > 2 * _WIDE:
        notes.append(
            f"With only {test.count} test photos, the 95% interval of the accuracy is {low:.0%} to {high:.0%}. "
            f"Each photo counts for {100 / test.count:.1f} points."
        )
    if len(by_photos) > 1:
        (fewest, lowest), (most, highest) = by_photos[0], by_photos[-1]
        listed = ", ".join(f"{accuracy:.0%} with {photos:.0f}" for photos, accuracy in by_photos)
        notes.append(
            f"More photos may help. A head on ImageNet features is correct on {listed} photos per class (held-out "
            f"accuracy). Each doubling has brought {100 * (highest - lowest) / log2(most / fewest):.0f} points so far."
        )
    return tuple(notes)
