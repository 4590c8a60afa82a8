"""Saves uncertain frames and frames with events as pictures for the next training run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.base import Sink
from edge_runtime.sinks.events import event_kinds, events_of
from edge_runtime.sinks.pictures.store import MIB, PictureStore

if TYPE_CHECKING:
    from edge_runtime.types import EventKind, LiveResult, Prediction

UNKNOWN = "unknown"
_LONGEST_NAME = 40  # letters of a label in a path; a file name has at most 255 bytes, a letter up to 4
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class SaveRules:
    """Rules that select the frames to save: a frame is saved if any of the first three applies.

    Attributes:
        score_below: Save a frame whose best score is below this value, above 0 and at most 1; None disables the rule.
        margin_below: Save a frame whose best score leads the second best by less than this value, above 0 and at most
            1; None disables the rule. Needs ``top_k`` of at least 2.
        kinds: Kinds of events with which a frame is saved.
        interval_s: Minimum seconds between two saved frames.

    Raises:
        RulesError: No rule is given, a value is out of range, or a kind is unknown.
    """

    score_below: float | None = None
    margin_below: float | None = None
    kinds: tuple[EventKind, ...] = ()
    interval_s: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", event_kinds(self.kinds) if self.kinds else ())
        if self.score_below is None and self.margin_below is None and not self.kinds:
            raise RulesError("No rule selects the frames to save. Set score_below, margin_below or kinds.")
        for name in ("score_below", "margin_below"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise RulesError(f"{name} must be above 0 and at most 1, got {value:g}.")
        if not 0 <= self.interval_s < float("inf"):
            raise RulesError(f"interval_s must be 0 or more seconds, got {self.interval_s:g}.")


class SavedFrames(Sink):
    """Saves the frames selected by `SaveRules` to ``FOLDER/LABEL/``, whole and unchanged. Wrap it in `Background`.

    ``LABEL`` is the predicted class (for an event, the event's class) or ``unknown``; check the pictures by hand before
    training. The file name contains the time (UTC), label and score; ``FOLDER/index.jsonl`` also has the reason. When
    the quota is reached, the oldest pictures saved by this sink are deleted.

    Args:
        folder: Dedicated folder, created if missing; may hold pictures of earlier runs.
        rules: Rules that select the frames.
        format: ``"jpg"`` (quality 95), or ``"png"``: lossless, about 10 times as large.
        quota_mib: Maximum total size of the pictures in MiB (1024 × 1024 bytes).
        min_free_mib: Disk space to keep free, in MiB.

    Raises:
        OutputError: The folder cannot be written to, or is in use by another process.
        RulesError: The format is unknown, or the quota or the free space is out of range.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        rules: SaveRules,
        *,
        format: Literal["jpg", "png"] = "jpg",
        quota_mib: float = 500.0,
        min_free_mib: float = 500.0,
    ) -> None:
        if format not in ("jpg", "png"):
            raise RulesError(f"Unknown picture format {format!r}. Choose jpg or png.")
        if not quota_mib > 0 or not min_free_mib >= 0:
            raise RulesError(
                "The quota must be above 0 MiB and the free space at least 0 MiB, "
                f"got {quota_mib:g} and {min_free_mib:g}."
            )
        self._rules = rules
        self._format = format
        self._saved_at: float | None = None
        self._folder = os.fspath(folder)
        self._store = PictureStore(folder, quota_bytes=int(quota_mib * MIB), min_free_bytes=int(min_free_mib * MIB))

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        at, saved_at = result.frame.at, self._saved_at
        # Time may go backward when a video restarts or a source is reopened.
        too_soon = saved_at is not None and saved_at <= at < saved_at + self._rules.interval_s
        return not too_soon and _reason(result, self._rules) is not None

    def write(self, result: LiveResult) -> bool:
        """Save the frame if the rules select it.

        Raises:
            OutputError: The frame cannot be written, or too little disk space would remain.
        """
        reason = _reason(result, self._rules)
        if reason is None or not self.wants(result):
            return True
        import cv2

        self._saved_at = result.frame.at  # also on failure: don't retry a full disk with every frame
        top = result.prediction.top
        label, score = (top.label, top.score) if top and not result.prediction.is_unknown else (None, 0.0)
        for event in events_of(result):
            if event.kind == reason:
                label, score = event.label, event.score
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if self._format == "jpg" else []
        encoded, content = cv2.imencode(f".{self._format}", result.frame.pixels, options)
        if not encoded:
            raise OutputError(f"A frame of shape {result.frame.pixels.shape} cannot be encoded as {self._format}.")
        folder = UNKNOWN if label is None else _file_name(label)
        taken = datetime.fromtimestamp(result.time, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
        self._store.add(
            f"{folder}/{taken}_{folder}_{score:.2f}.{self._format}",
            content.tobytes(),
            {
                "time": round(result.time, 3),
                "label": label,
                "score": round(score, 4),
                "reason": reason,
                "categories": [[category.label, round(category.score, 4)] for category in result.prediction.categories],
            },
        )
        return True

    def close(self) -> None:
        """Release the folder."""
        self._store.close()

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"folder of saved frames {self._folder}"


def _reason(result: LiveResult, rules: SaveRules) -> str | None:
    """Return why the frame is saved (kind of an event, ``"score"`` or ``"margin"``), or None if it isn't."""
    kinds = {event.kind for event in events_of(result)}
    for kind in rules.kinds:
        if kind in kinds:
            return kind
    best, second = _two_best(result.prediction)
    if rules.score_below is not None and best < rules.score_below:
        return "score"
    if rules.margin_below is not None and best - second < rules.margin_below:
        return "margin"
    return None


def _two_best(prediction: Prediction) -> tuple[float, float]:
    """Return the best and second-best score; 0 for a score below the live loop's threshold."""
    scores = [category.score for category in prediction.categories[:2]]
    if len(scores) < 2 and prediction.scores is not None:
        scores = sorted(map(float, prediction.scores), reverse=True)[:2]
    best, second, *_ = [*scores, 0.0, 0.0]
    return best, second


def _file_name(label: str) -> str:
    """Return a label as a single, visible path component."""
    return re.sub(r"[^\w\- .]", "_", label).strip(" .")[:_LONGEST_NAME].strip(" .") or "_"
