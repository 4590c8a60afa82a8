"""What every sink is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from edge_runtime.stream import LiveResult


class Sink(ABC):
    """Takes results, one a call, in the thread of the live loop.

    A sink that may be slow, because it talks to a network or starts a program, belongs into
    `edge_runtime.sinks.background.Background`, which gives it a thread of its own.
    """

    @abstractmethod
    def write(self, result: LiveResult) -> bool:
        """Takes one result.

        Returns:
            False when nobody wants any more: stop then, without a word.

        Raises:
            OutputError: It can't be taken.
        """

    def close(self) -> None:  # noqa: B027 - nothing to release is the usual case
        """Releases what it holds. Closing twice does nothing."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
