"""Frames worth keeping, as pictures for the next training."""

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
_LONGEST_NAME = 40  # of a label in a path; a file's name has 255 bytes, a letter up to four
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class SaveRules:
    """Which frames are saved: those for which one of the first three holds.

    Attributes:
        score_below: The best score of the frame is below it, 0–1.
        margin_below: Its lead over the second best is below it, 0–1. The live loop must give two classes at least.
        kinds: Events of these kinds come with the frame.
        interval_s: At most one frame in so many seconds.
    """

    score_below: float | None = None
    margin_below: float | None = None
    kinds: tuple[EventKind, ...] = ()
    interval_s: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", event_kinds(self.kinds) if self.kinds else ())
        if self.score_below is None and self.margin_below is None and not self.kinds:
            raise RulesError("Expected score_below, margin_below or kinds to say which frames are saved, got none.")
        for name in ("score_below", "margin_below"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise RulesError(f"Expected {name} above 0 and at most 1, got {value:g}.")
        if not 0 <= self.interval_s < float("inf"):
            raise RulesError(f"Expected interval_s of 0 seconds or more, got {self.interval_s:g}.")


class SavedFrames(Sink):
    """Saves frames into ``FOLDER/LABEL/`` by `SaveRules`, whole frames as they came. It belongs into `Background`.

    ``LABEL`` is what a frame seems to be (of an event, its class), or ``unknown``; sort by hand before training. The
    file's name has the time (UTC), the label and the score; ``FOLDER/index.jsonl`` says the same and why. When the
    quota is used up, the oldest of its own pictures make place; see `PictureStore`.
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
        """Makes the folder where there is none.

        Args:
            folder: Of its own, or one that it wrote into before.
            rules: Which frames.
            format: JPEG at quality 95, or PNG, which loses nothing and is some 10 times as large.
            quota_mib: What its pictures may take together, in MiB of 1024 × 1024 bytes.
            min_free_mib: What must be left free on the disk.

        Raises:
            OutputError: It can't be written into, or another process does.
            RulesError: There is no such format, or no quota.
        """
        if format not in ("jpg", "png"):
            raise RulesError(f"Expected the format jpg or png, got {format!r}.")
        if not quota_mib > 0 or not min_free_mib >= 0:
            raise RulesError(
                f"Expected a quota above 0 MiB and at least 0 MiB to stay free, got {quota_mib:g} and {min_free_mib:g}."
            )
        self._rules = rules
        self._format = format
        self._saved_at: float | None = None
        self._folder = os.fspath(folder)
        self._store = PictureStore(folder, quota_bytes=int(quota_mib * MIB), min_free_bytes=int(min_free_mib * MIB))

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        at, saved_at = result.frame.at, self._saved_at
        # A video that begins anew, or a source that was reopened, may go back in time.
        too_soon = saved_at is not None and saved_at <= at < saved_at + self._rules.interval_s
        return not too_soon and _reason(result, self._rules) is not None

    def write(self, result: LiveResult) -> bool:
        """Saves the frame if it is wanted.

        Raises:
            OutputError: It can't be written, or would leave too little space on the disk.
        """
        reason = _reason(result, self._rules)
        if reason is None or not self.wants(result):
            return True
        import cv2

        self._saved_at = result.frame.at  # also when it fails: a full disk isn't asked with every frame
        top = result.prediction.top
        label, score = (top.label, top.score) if top and not result.prediction.is_unknown else (None, 0.0)
        for event in events_of(result):
            if event.kind == reason:
                label, score = event.label, event.score
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if self._format == "jpg" else []
        encoded, content = cv2.imencode(f".{self._format}", result.frame.pixels, options)
        if not encoded:
            raise OutputError(f"Expected a frame that can be saved, got one of {result.frame.pixels.shape}.")
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
        """Lets the folder go."""
        self._store.close()

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"folder of saved frames {self._folder}"


def _reason(result: LiveResult, rules: SaveRules) -> str | None:
    """Why a frame is worth keeping: the kind of an event, ``"score"`` or ``"margin"``; None where it isn't."""
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
    """The best and the second best score; 0 for what is below the threshold of the live loop."""
    scores = [category.score for category in prediction.categories[:2]]
    if len(scores) < 2 and prediction.scores is not None:
        scores = sorted(map(float, prediction.scores), reverse=True)[:2]
    best, second, *_ = [*scores, 0.0, 0.0]
    return best, second


def _file_name(label: str) -> str:
    """A label as part of a path: one level of it, and not hidden."""
    return re.sub(r"[^\w\- .]", "_", label).strip(" .")[:_LONGEST_NAME].strip(" .") or "_"
