"""Per-frame predictions, and the decisions and events derived from them over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


EventKind = Literal["entered", "left", "changed"]
"""Kind of an `Event`; see its ``kind``."""


@dataclass(frozen=True)
class Category:
    """One class with its score.

    Attributes:
        index: Index of the class in the model's output.
        label: Name of the class.
        score: Score, 0–1.
    """

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """The network's result for one frame.

    Attributes:
        categories: Classes, best first; limited by ``top_k`` and ``score_threshold``, so possibly empty.
        preprocess_ms: Time from frame to network input.
        inference_ms: Time in the network.
        postprocess_ms: Time from network output to categories.
        scores: Scores of all classes, float32 (classes,), 0–1; None unless requested with ``all_scores``.
        certainty: Certainty of the scores, 0–1 (`inference.postprocess.certainty`); None without an unknown threshold.
        is_unknown: Whether ``certainty`` is below the unknown threshold, so that the picture may show none of the
            classes; ``categories`` still holds the best guesses. None without an unknown threshold.
    """

    categories: tuple[Category, ...]
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    scores: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    certainty: float | None = None
    is_unknown: bool | None = None

    @property
    def top(self) -> Category | None:
        """The best category; None if no class reached the threshold."""
        return self.categories[0] if self.categories else None

    @property
    def total_ms(self) -> float:
        """Time from frame to categories."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {
            "categories": [asdict(category) for category in self.categories],
            "preprocess_ms": self.preprocess_ms,
            "inference_ms": self.inference_ms,
            "postprocess_ms": self.postprocess_ms,
            **({} if self.scores is None else {"scores": self.scores.tolist()}),
            **({} if self.is_unknown is None else {"certainty": self.certainty, "is_unknown": self.is_unknown}),
        }


@dataclass(frozen=True)
class Event:
    """A change of the decision.

    When one class replaces another, three events occur at once: ``left``, ``entered`` and ``changed``. Multi-label
    models emit no ``changed``, because their classes enter and leave independently.

    Attributes:
        kind: ``"entered"``: ``label`` came into view; ``"left"``: ``label`` is no longer in view; ``"changed"``: the
            decision went from ``previous`` to ``label``.
        label: Name of the class; None for unknown, which occurs only in ``"changed"``.
        previous: Class decided before; None for unknown.
        score: Smoothed score of ``label``, 0–1; 0 for unknown.
        time: Seconds since 1970 (UTC).
        lasted_s: Seconds that the previous decision lasted; 0 in ``"entered"``.
    """

    kind: EventKind
    label: str | None
    previous: str | None
    score: float
    time: float
    lasted_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        rounded = {"score": round(self.score, 4), "time": round(self.time, 3), "lasted_s": round(self.lasted_s, 3)}
        return {**asdict(self), **rounded}


@dataclass(frozen=True)
class Decision:
    """The class in view over time: smoothed, and held until another one is certain.

    Attributes:
        label: Name of the class; None for unknown.
        score: Smoothed score of that class, 0–1; 0 for unknown.
        since: Time of the decision, in seconds since 1970 (UTC).
        events: Changes made by this frame; usually empty.
        labels: All classes in view, best first, for multi-label models; ``label`` is then the best of them. None for
            other models.
    """

    label: str | None
    score: float
    since: float
    events: tuple[Event, ...] = ()
    labels: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        every = {} if self.labels is None else {"labels": list(self.labels)}
        return {"label": self.label, **every, "score": round(self.score, 4), "since": round(self.since, 3)}
