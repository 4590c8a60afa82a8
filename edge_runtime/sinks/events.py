"""Base class of sinks that take only events."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, get_args

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.base import Sink
from edge_runtime.types import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.types import Event, LiveResult

KINDS: tuple[EventKind, ...] = get_args(EventKind)


class EventSink(Sink):
    """Passes the events of each result to `send`, one per call. Subclasses implement `send`.

    When one class follows another, ``left``, ``entered`` and ``changed`` arrive together; select with ``kinds``.
    Without decision rules, `edge_runtime.live` produces no events.

    Args:
        kinds: Kinds of events to take; default: all.
        labels: Classes to take events of; default: all. A change to unknown has no class.

    Raises:
        RulesError: A kind is unknown.
    """

    needs_pixels = False

    def __init__(self, *, kinds: Sequence[EventKind] = (), labels: Sequence[str] = ()) -> None:
        self._kinds = event_kinds(kinds)
        self._labels = (labels,) if isinstance(labels, str) else tuple(labels)

    @abstractmethod
    def send(self, event: Event) -> None:
        """Send one event.

        Raises:
            OutputError: The event cannot be sent.
        """

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return any(self._takes(event) for event in events_of(result))

    def write(self, result: LiveResult) -> bool:
        """See `Sink.write`. If one event fails, the others are still sent."""
        failure: OutputError | None = None
        for event in events_of(result):
            if self._takes(event):
                try:
                    self.send(event)
                except OutputError as error:
                    failure = failure or error
        if failure is not None:
            raise failure
        return True

    def _takes(self, event: Event) -> bool:
        return event.kind in self._kinds and (not self._labels or event.label in self._labels)


def events_of(result: LiveResult) -> tuple[Event, ...]:
    """Return the events of a result; empty without decision rules."""
    return () if result.decision is None else result.decision.events


def event_kinds(kinds: Sequence[EventKind]) -> tuple[EventKind, ...]:
    """Return the selected kinds of events in the order of `KINDS`; all if none is named.

    Raises:
        RulesError: A kind is unknown.
    """
    named = [kinds] if isinstance(kinds, str) else kinds
    for kind in named:
        if kind not in KINDS:
            raise RulesError(f"Unknown kind of event {kind!r}. Choose from {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in named) or KINDS


def event_json(event: Event) -> str:
    """Return an event as JSON on one line."""
    return json.dumps(event.to_dict(), separators=(",", ":"))
