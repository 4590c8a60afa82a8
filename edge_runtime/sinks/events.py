"""Sinks that take events alone."""

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
    """Takes the events of each result, one a call of `send`. A class of your own needs `send`.

    Where one class follows another, ``left``, ``entered`` and ``changed`` come at once: choose by ``kinds``. Without
    decision rules for `edge_runtime.live_loop.loop.live` there are no events.
    """

    needs_pixels = False

    def __init__(self, *, kinds: Sequence[EventKind] = (), labels: Sequence[str] = ()) -> None:
        """Says which events.

        Args:
            kinds: Of these kinds only; empty: of all.
            labels: Of these classes only; empty: of all. A change to unknown has no class.

        Raises:
            RulesError: There is no such kind.
        """
        self._kinds = event_kinds(kinds)
        self._labels = (labels,) if isinstance(labels, str) else tuple(labels)

    @abstractmethod
    def send(self, event: Event) -> None:
        """Takes one event.

        Raises:
            OutputError: It can't be taken.
        """

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return any(self._takes(event) for event in events_of(result))

    def write(self, result: LiveResult) -> bool:
        """See `Sink.write`. One event that can't be taken doesn't keep the others back."""
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
    """What changed with this result; nothing where no decisions are made."""
    return () if result.decision is None else result.decision.events


def event_kinds(kinds: Sequence[EventKind]) -> tuple[EventKind, ...]:
    """The kinds that are meant: all of them where none is named.

    Raises:
        RulesError: There is no such kind.
    """
    named = [kinds] if isinstance(kinds, str) else kinds
    for kind in named:
        if kind not in KINDS:
            raise RulesError(f"Expected kinds of events ({', '.join(KINDS)}), got {kind!r}.")
    return tuple(kind for kind in KINDS if kind in named) or KINDS


def event_json(event: Event) -> str:
    """An event as text, on one line."""
    return json.dumps(event.to_dict(), separators=(",", ":"))
