"""Results as the live loop gives them, made by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.sources import Frame
from edge_runtime.types import Category, Counters, Decision, Event, LiveResult, Prediction

TIME = 1700000000.1234

ENTERED = Event("entered", "cat", None, 0.87654, TIME)
LEFT = Event("left", "dog", "dog", 0.1, TIME, 12.3456)
CHANGED = Event("changed", "cat", "dog", 0.87654, TIME, 12.3456)
GONE = Event("changed", None, "cat", 0.0, TIME, 2.0)


def made_result(
    *events: Event,
    label: str | None = "cat",
    decided: bool = True,
    scores: tuple[float, ...] = (0.9, 0.1),
    labels: tuple[str, ...] = ("cat", "dog"),
    index: int = 0,
    at: float = 1.0,
    pixels: NDArray[np.uint8] | None = None,
) -> LiveResult:
    """A frame with its scores, what was decided, and what changed."""
    categories = tuple(Category(k, name, score) for k, (name, score) in enumerate(zip(labels, scores, strict=False)))
    return LiveResult(
        frame=Frame(np.zeros((2, 2, 3), np.uint8) if pixels is None else pixels, index, at),
        prediction=Prediction(categories, 0.2, 5.0, 0.01),
        time=TIME + at,
        age_ms=6.5,
        fps=30.0,
        counters=Counters(captured=1, classified=1),
        decision=Decision(label, 0.87654 if label else 0.0, TIME, events) if decided else None,
    )
