"""Worker processes that take turns: each holds one program with its model and classifies on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.harness.environments import reason_of


class WorkerError(Exception):
    """A worker ended; the message is the reason."""


@dataclass(frozen=True)
class Turn:
    """One pass over a file of frames.

    Attributes:
        best: Index of the best class of each frame.
        ms: Mean latency per frame, in milliseconds.
        cpu_ms: Mean CPU time per frame over all threads, in milliseconds.
    """

    best: list[int]
    ms: float
    cpu_ms: float


class Worker:
    """A running script of ``subjects/scripts/rivals``.

    Attributes:
        version: Name and version of the package that it runs.

    Args:
        command: Interpreter, script, model, and further arguments of the script.
        env: Environment variables to set. Inherited variables that start with ``PYTHON`` are removed.

    Raises:
        WorkerError: The worker cannot open the model.
    """

    def __init__(self, command: Sequence[object], *, env: Mapping[str, str] | None = None) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._messages = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
            env={**inherited, **(env or {})},
        )
        try:
            self.version: str = self._answer()["version"]
        except WorkerError:
            self.close()
            raise

    def turn(self, frames: Path) -> Turn:
        """Classify the frames of a file, uint8 (N, H, W, 3) BGR, 0–255.

        Raises:
            WorkerError: The worker failed.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the missing answer says why
            self._process.stdin.write(f"{frames}\n")
            self._process.stdin.flush()
        return Turn(**self._answer())

    def close(self) -> None:
        """Kill the worker."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._messages):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        if code < 0:
            raise WorkerError(f"it crashed ({signal.Signals(-code).name})")
        self._messages.seek(0)
        raise WorkerError(reason_of(self._messages.read()))
