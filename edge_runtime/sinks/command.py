"""Runs a command for each event."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.events import EventSink, event_json

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from edge_runtime.types import Event, EventKind


class Command(EventSink):
    """Runs a command for each event, one at a time, and waits for it to finish. Wrap it in `Background`.

    The command runs without a shell, so a label cannot inject anything. It receives the event as JSON on standard input
    and in the environment variables ``EDGE_KIND``, ``EDGE_LABEL``, ``EDGE_PREVIOUS`` (the latter two empty for
    unknown), ``EDGE_SCORE`` and ``EDGE_TIME``. Its output goes to standard error, because standard output may carry
    results.

    Args:
        command: Program and arguments, quoted as in a shell; for pipes and variables use ``sh -c '…'``.
        timeout_s: Maximum run time in seconds; then the command is killed with all processes that it started.
        kinds: Kinds of events to take; see `EventSink`.
        labels: Classes to take events of; see `EventSink`.

    Raises:
        OutputError: The program was not found.
        RulesError: The command is empty or has unbalanced quotes, or a kind is unknown.
    """

    def __init__(
        self,
        command: str,
        *,
        timeout_s: float = 10.0,
        kinds: Sequence[EventKind] = (),
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(kinds=kinds, labels=labels)
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise RulesError(f"Cannot parse the command {command!r}: {error}. Quote it as in a shell.") from None
        if not self._arguments:
            raise RulesError("The command is empty. Give a program to run for each event.")
        if shutil.which(self._arguments[0]) is None:
            raise OutputError(f"Program {self._arguments[0]!r} not found. Give its full path.")
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def send(self, event: Event) -> None:
        """Run the command and wait for it.

        Raises:
            OutputError: The command failed, timed out or could not be started, or `abort` was called.
        """
        import subprocess

        if self._aborted:
            raise OutputError(f"The {self.describe()} was aborted and takes no more events.")
        values = event.to_dict()
        variables = {
            f"EDGE_{name.upper()}": "" if values[name] is None else str(values[name])
            for name in ("kind", "label", "previous", "score", "time")
        }
        try:
            process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=2,
                env={**os.environ, **variables},
                start_new_session=True,  # Ctrl-C must not reach it; a timeout must reach its whole process group
            )
        except (OSError, ValueError) as error:
            raise OutputError(f"The {self.describe()} could not be started: {error}.") from error
        self._process = process
        try:
            if self._aborted:  # while Popen ran, when there was no process to kill yet
                self._end()
            process.communicate(event_json(event).encode() + b"\n", timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise OutputError(f"The {self.describe()} ran longer than {self._timeout_s:g} s and was killed.") from error
        finally:
            self._end()
            self._process = None
            process.wait()
        if process.returncode != 0:
            ended = f"exited with status {process.returncode}" if process.returncode > 0 else "was killed"
            raise OutputError(f"The {self.describe()} {ended} on event {event.kind} {event.label or 'unknown'}.")

    def abort(self) -> None:
        """See `Sink.abort`: kill the command and all processes it started, which would outlive this process."""
        self._aborted = True
        self._end()

    def describe(self) -> str:
        """See `Sink.describe`."""
        return f"command {Path(self._arguments[0]).name}"  # its arguments may hold a password

    def _end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
