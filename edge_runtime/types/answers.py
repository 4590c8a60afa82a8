"""What a model says of a frame, and what is decided from it over time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


EventKind = Literal["entered", "left", "changed"]
"""See `Event`."""


@dataclass(frozen=True)
class Category:
    """One class and its score, 0–1."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """What the network says about one frame.

    Attributes:
        categories: Best first; cut to ``top_k`` and ``score_threshold``, so possibly empty.
        preprocess_ms: From frame to network input.
        inference_ms: The network alone.
        postprocess_ms: From network output to categories.
        scores: All of them, float32 (classes,), 0–1; None unless they were asked for.
        certainty: How far the scores are from undecided, 0–1 (`inference.postprocess.certainty`); None where there
            is no threshold for it.
        is_unknown: Whether that is below the threshold that the model carries or the caller gave, so that the picture
            may show none of the classes; the categories are the best guesses all the same. None where there is none.
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
        """The best category, or None when none reached the threshold."""
        return self.categories[0] if self.categories else None

    @property
    def total_ms(self) -> float:
        """From frame to categories."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
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
    """The decision became another one.

    Where one class follows another, three events come at once: ``left``, ``entered`` and ``changed``. Of a model that
    answers each class by itself, ``changed`` never comes: its classes enter and leave on their own.

    Attributes:
        kind: ``"entered"``: ``label`` is decided now; ``"left"``: ``label`` isn't any more; ``"changed"``: it is
            ``label`` now, and was ``previous``.
        label: Of the class; None for unknown, only in ``"changed"``.
        previous: What was decided before; None for unknown.
        score: The smoothed score of ``label``, 0–1; 0 for unknown.
        time: In seconds since 1970 (UTC).
        lasted_s: How long the decision that ended had stood; 0 in ``"entered"``.
    """

    kind: EventKind
    label: str | None
    previous: str | None
    score: float
    time: float
    lasted_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rounded = {"score": round(self.score, 4), "time": round(self.time, 3), "lasted_s": round(self.lasted_s, 3)}
        return {**asdict(self), **rounded}


@dataclass(frozen=True)
class Decision:
    """What is in view, over time: smoothed, and held until something else is sure.

    Attributes:
        label: Of the class; None is unknown.
        score: Its smoothed score, 0–1; 0 for unknown.
        since: When it was decided, in seconds since 1970 (UTC).
        events: What changed with this frame; mostly nothing.
        labels: Of a model that answers each class by itself, all that are in view, best first; ``label`` is then the
            best of them. None for other models.
    """

    label: str | None
    score: float
    since: float
    events: tuple[Event, ...] = ()
    labels: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        every = {} if self.labels is None else {"labels": list(self.labels)}
        return {"label": self.label, **every, "score": round(self.score, 4), "since": round(self.since, 3)}
