"""Progress line on stderr, for terminals only."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """Progress of a task in percent, shown after its first second if stderr is a terminal."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._started = time.monotonic()
        self._shown = ""
        self._visible = sys.stderr.isatty()

    def update(self, fraction: float) -> None:
        """Show the finished share of the task, 0–1."""
        if not self._visible or time.monotonic() - self._started < 1.0:
            return
        line = f"{self._task} {min(fraction, 1.0):4.0%}"
        if line != self._shown:
            self._shown = line
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Erase the line."""
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)
            self._shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
