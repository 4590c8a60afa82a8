"""What a report says where photos were few: how little they measure, and what more of them would bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.evaluation.metrics import accuracy_interval

if TYPE_CHECKING:
    from trainer.types import Evaluation

_WIDE = 0.1
"""Half of the accuracy's interval from which on it is said aloud."""


def few_notes(test: Evaluation, by_photos: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """Sentences; none where photos were plenty.

    Args:
        test: Of the model that ships, on the test photos.
        by_photos: Mean number of photos of a class and accuracy, 0–1, as `trainer.evaluation.more_photos` gives them;
            empty where it wasn't looked for.
    """
    notes = []
    low, high = accuracy_interval(test)
    if high - low > 2 * _WIDE:
        notes.append(
            f"Few photos measured the accuracy: by {test.count} test photos it may as well be {low:.0%} as {high:.0%} "
            f"(95% interval); each of them counts for {100 / test.count:.1f} points."
        )
    if len(by_photos) > 1:
        told = ", ".join(f"{accuracy:.0%} with {photos:.0f}" for photos, accuracy in by_photos)
        gain = 100 * (by_photos[-1][1] - by_photos[-2][1])
        times = by_photos[-1][0] / by_photos[-2][0]
        notes.append(
            f"What more photos would bring: of photos held out in turn, a head on the ImageNet features gets {told} "
            f"photos of a class right. The last step, {times:.1f} times the photos, brought {gain:+.1f} points; the "
            "next one may bring nearly as much."
        )
    return tuple(notes)
