"""What a report says where photos were few: how little they measure, and what more of them would bring."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING

from trainer.evaluation.metrics import accuracy_interval
from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    from trainer.types import Evaluation

_WIDE = 0.1
"""Half of the accuracy's interval from which on it is said aloud."""


def few_notes(
    test: Evaluation, by_photos: Sequence[tuple[float, float]], undone: tuple[float, float] | None = None
) -> tuple[str, ...]:
    """Sentences; none where photos were plenty.

    Args:
        test: Of the model that ships, on the test photos; of several labels a photo, nothing is told.
        by_photos: Mean number of photos of a class and accuracy, 0–1, as `trainer.evaluation.more_photos` gives them;
            empty where it wasn't looked for.
        undone: Validation accuracy, 0–1, before and after a fine-tuning that was undone; None where it wasn't.
    """
    notes = []
    if undone:
        notes.append(
            f"Fine-tuning was undone: the head on the pretrained features knew {undone[0]:.1%} of the validation "
            f"photos, the whole network {undone[1]:.1%} after it. With more photos it will pay."
        )
    if isinstance(test, MultiLabelEvaluation):  # answers about one photo depend on each other: no such interval
        return tuple(notes)
    low, high = accuracy_interval(test)
    if high - low > 2 * _WIDE:
        notes.append(
            f"Few photos measured the accuracy: by {test.count} test photos it may as well be {low:.0%} as {high:.0%} "
            f"(95% interval); each of them counts for {100 / test.count:.1f} points."
        )
    if len(by_photos) > 1:
        (fewest, lowest), (most, highest) = by_photos[0], by_photos[-1]
        told = ", ".join(f"{accuracy:.0%} with {photos:.0f}" for photos, accuracy in by_photos)
        notes.append(
            "What more photos would bring: a head on the ImageNet features gets so many of the photos right that were "
            f"held out in turn, by photos of a class to learn from: {told}. Each doubling has brought "
            f"{100 * (highest - lowest) / log2(most / fewest):.0f} points so far."
        )
    return tuple(notes)
