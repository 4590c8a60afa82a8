"""Base class of all sinks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from edge_runtime.types import LiveResult

_Self = TypeVar("_Self", bound="Sink")


class Sink(ABC):
    """Receives results, one per call, in the live loop's thread. Subclasses implement `write`.

    Wrap a sink that may be slow, because it uses the network or starts a program, in
    `edge_runtime.sinks.Background`, which runs it in its own thread.

    Attributes:
        needs_pixels: Whether the sink reads the frame's pixels. If False, queued results are stored without them.
        close_timeout_s: Maximum seconds that `close` takes to send pending results; may be changed before closing.
    """

    needs_pixels: bool = True
    close_timeout_s: float = 3.0

    def wants(self, result: LiveResult) -> bool:
        """Return whether `write` would do anything with this result. Fast and without side effects."""
        return True

    @abstractmethod
    def write(self, result: LiveResult) -> bool:
        """Write one result.

        Returns:
            False if no more results are wanted; the caller then stops without an error.

        Raises:
            OutputError: The result cannot be written.
        """

    def abort(self) -> None:  # noqa: B027 - most hold nothing that would outlive them
        """Interrupt a `write` that is waiting in another thread, and take no more results."""

    def close(self) -> None:  # noqa: B027 - nothing to release is the usual case
        """Release all resources. Closing twice has no effect."""

    def describe(self) -> str:
        """Return a description for messages that begin with "The …", without passwords."""
        return f"sink {type(self).__name__}"

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
