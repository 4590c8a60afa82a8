"""Calls a Python function with each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.sinks.events import EventSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.types import Event, EventKind


class Callback(EventSink):
    """Calls a function with each event.

    The call runs in the live loop's thread: the loop waits for it, and its exceptions propagate. Inside `Background`
    it runs in a separate thread, and exceptions are logged with their traceback.

    Args:
        function: Function that takes the event; its return value is ignored.
        kinds: Kinds of events to take; see `EventSink`.
        labels: Classes to take events of; see `EventSink`.

    Raises:
        RulesError: A kind is unknown.
    """

    def __init__(
        self, function: Callable[[Event], object], *, kinds: Sequence[EventKind] = (), labels: Sequence[str] = ()
    ) -> None:
        super().__init__(kinds=kinds, labels=labels)
        self._function = function

    def send(self, event: Event) -> None:
        """See `EventSink.send`."""
        self._function(event)

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"callback {getattr(self._function, '__name__', repr(self._function))}"
