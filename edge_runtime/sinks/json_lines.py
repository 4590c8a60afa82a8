"""JSON Lines: one line per frame or per event."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from edge_runtime.errors import OutputError
from edge_runtime.sinks.base import Sink
from edge_runtime.sinks.events import events_of

if TYPE_CHECKING:
    from edge_runtime.types import LiveResult, Prediction


class JsonLines(Sink):
    """Writes one JSON object per line and flushes after each result, so that readers see it at once.

    Args:
        path: File to append to; None or ``"-"`` for standard output.
        events_only: If True, write one line per event instead of one per frame.

    Raises:
        OutputError: The file cannot be opened for writing.
    """

    needs_pixels = False

    def __init__(self, path: str | os.PathLike[str] | None = None, *, events_only: bool = False) -> None:
        self._name = "standard output" if path is None or os.fspath(path) == "-" else os.fspath(path)
        self._events_only = events_only
        self._owned = path is not None and os.fspath(path) != "-"
        self._file: TextIO = sys.stdout
        if self._owned:
            try:
                self._file = Path(self._name).open("a", encoding="utf-8")  # noqa: SIM115 - close() closes it
            except OSError as error:
                raise self._error(error) from error

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return not self._events_only or bool(events_of(result))

    def write(self, result: LiveResult) -> bool:
        """Write one line, or one per event.

        Returns:
            False if the reader is gone (``| head``); the caller then stops without an error.

        Raises:
            OutputError: Writing failed, for example because the disk is full.
        """
        lines = [event.to_dict() for event in events_of(result)] if self._events_only else [line_of(result)]
        try:
            for line in lines:
                self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._file.flush()
        except BrokenPipeError:
            self._abandon()
            return False
        except OSError as error:
            self._abandon()
            raise self._error(error) from error
        return True

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._owned:
            self._file.close()

    def _abandon(self) -> None:
        """Send buffered output to the null device; otherwise Python flushes it again at exit and prints an error."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._file.fileno())
        os.close(null)

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"Cannot write results to {self._name}: {error.strerror}.")


def line_of(result: LiveResult) -> dict[str, Any]:
    """Return a JSON-serializable dict of one result.

    ``label`` and ``score`` are those of the frame's best category, None if none reaches the score threshold.
    ``certainty`` and ``is_unknown`` are present if the model has a threshold for unknown pictures, ``decision`` and
    ``events`` if the live loop has decision rules.
    """
    prediction = result.prediction
    top = prediction.top
    return {
        "time": round(result.time, 3),
        "frame": result.frame.index,
        **({"name": result.frame.name} if result.frame.name else {}),
        "label": top.label if top else None,
        "score": round(top.score, 4) if top else None,
        **_known(prediction),
        "categories": [
            {"index": category.index, "label": category.label, "score": round(category.score, 4)}
            for category in prediction.categories
        ],
        "age_ms": round(result.age_ms, 2),
        "preprocess_ms": round(prediction.preprocess_ms, 3),
        "inference_ms": round(prediction.inference_ms, 3),
        "postprocess_ms": round(prediction.postprocess_ms, 3),
        "fps": round(result.fps, 1),
        "counters": result.counters.to_dict(),
        **_decided(result),
    }


def _known(prediction: Prediction) -> dict[str, Any]:
    if prediction.certainty is None:
        return {}
    return {"certainty": round(prediction.certainty, 4), "is_unknown": prediction.is_unknown}


def _decided(result: LiveResult) -> dict[str, Any]:
    if result.decision is None:
        return {}
    return {
        "decision": result.decision.to_dict(),
        "events": [event.to_dict() for event in events_of(result)],
    }
