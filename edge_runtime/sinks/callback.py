"""Events for a function of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.sinks.events import EventSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.types import Event, EventKind


class Callback(EventSink):
    """Calls a function with each event.

    It is called in the thread of the live loop, which waits for it, and its errors come through there, as those of any
    function that you call. In `Background` it has its own thread, and an error is logged with its traceback.
    """

    def __init__(
        self, function: Callable[[Event], object], *, kinds: Sequence[EventKind] = (), labels: Sequence[str] = ()
    ) -> None:
        """Says what to call when.

        Args:
            function: Takes the event; what it returns is of no interest.
            kinds: As for `EventSink`.
            labels: As for `EventSink`.

        Raises:
            RulesError: There is no such kind.
        """
        super().__init__(kinds=kinds, labels=labels)
        self._function = function

    def send(self, event: Event) -> None:
        """See `EventSink.send`."""
        self._function(event)

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"callback {getattr(self._function, '__name__', repr(self._function))}"
