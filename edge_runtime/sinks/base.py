"""What every sink is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from edge_runtime.types import LiveResult

_Self = TypeVar("_Self", bound="Sink")


class Sink(ABC):
    """Takes results, one a call, in the thread of the live loop. A class of your own needs `write`.

    A sink that may be slow, because it talks to a network or starts a program, belongs into
    `edge_runtime.sinks.background.Background`, which gives it a thread of its own.

    Attributes:
        needs_pixels: It looks at the frame's pixels. Those of a sink that doesn't are not kept while results wait.
        close_timeout_s: How long `close` may take to send what waits; it may be set until then.
    """

    needs_pixels: bool = True
    close_timeout_s: float = 3.0

    def wants(self, result: LiveResult) -> bool:
        """Whether `write` would do anything with this result. Answered at once, and changes nothing."""
        return True

    @abstractmethod
    def write(self, result: LiveResult) -> bool:
        """Takes one result.

        Returns:
            False when nobody wants any more: stop then, without a word.

        Raises:
            OutputError: It can't be taken.
        """

    def abort(self) -> None:  # noqa: B027 - most hold nothing that would outlive them
        """Ends what `write` is waiting for in another thread, and takes nothing more: there is no more time."""

    def close(self) -> None:  # noqa: B027 - nothing to release is the usual case
        """Releases what it holds. Closing twice does nothing."""

    def describe(self) -> str:
        """What it is, for messages that begin with "The …"; without a password."""
        return f"sink {type(self).__name__}"

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
