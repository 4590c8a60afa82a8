"""JSON Lines, one line a frame, or one an event."""

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
    """Writes one JSON object a line and flushes it, so that whoever reads along has it at once."""

    needs_pixels = False

    def __init__(self, path: str | os.PathLike[str] | None = None, *, events_only: bool = False) -> None:
        """Opens the output.

        Args:
            path: Of a file, to which lines are appended; None or ``"-"`` is the standard output.
            events_only: One line for each event, and none for a frame.

        Raises:
            OutputError: The file can't be written.
        """
        self._name = "the standard output" if path is None or os.fspath(path) == "-" else os.fspath(path)
        self._events_only = events_only
        self._owned = path is not None and os.fspath(path) != "-"
        self._file: TextIO = sys.stdout
        if self._owned:
            try:
                self._file = Path(self._name).open("a", encoding="utf-8")  # noqa: SIM115 - close() closes it
            except OSError as error:
                raise OutputError(
                    f"Expected to write results to {self._name}, it can't be opened: {error.strerror}."
                ) from error

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return not self._events_only or bool(events_of(result))

    def write(self, result: LiveResult) -> bool:
        """Writes one line, or one for each event.

        Returns:
            False when nobody reads any more (``| head``): stop then, without a word.

        Raises:
            OutputError: It can't be written, for example because the disk is full.
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
            raise OutputError(f"Expected to write results to {self._name}, got: {error.strerror}.") from error
        return True

    def close(self) -> None:
        """Closes the file; the standard output stays open."""
        if self._owned:
            self._file.close()

    def _abandon(self) -> None:
        """Lets what is still buffered go nowhere; Python would try again at exit, and complain."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._file.fileno())
        os.close(null)


def line_of(result: LiveResult) -> dict[str, Any]:
    """What a line says.

    ``label`` and ``score`` are this frame's best category's, null when none reached the score threshold;
    ``certainty`` and ``is_unknown`` say whether it counts, and are there where the model carries a threshold for that;
    ``decision`` and ``events`` are over time, and there where decisions are made.
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
