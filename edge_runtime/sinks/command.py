"""Events for a program."""

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
    """Runs a command for each event and waits for it, one after the other. It belongs into `Background`.

    No shell reads the command, so a label can't become part of it. The event comes as JSON on the standard input and in
    ``EDGE_KIND``, ``EDGE_LABEL``, ``EDGE_PREVIOUS`` (both empty for unknown), ``EDGE_SCORE`` and ``EDGE_TIME``. What
    the command prints goes to the standard error: the standard output may hold results.
    """

    def __init__(
        self,
        command: str,
        *,
        timeout_s: float = 10.0,
        kinds: Sequence[EventKind] = (),
        labels: Sequence[str] = (),
    ) -> None:
        """Looks for the program.

        Args:
            command: A program and its arguments, quoted as in a shell; for pipes and variables: ``sh -c '…'``.
            timeout_s: After which it is ended, with all that it started.
            kinds: As for `EventSink`.
            labels: As for `EventSink`.

        Raises:
            OutputError: There is no such program.
            RulesError: The command is empty or not quoted well, or there is no such kind.
        """
        super().__init__(kinds=kinds, labels=labels)
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise RulesError(f"Expected a command quoted as in a shell, got {command!r}: {error}.") from None
        if not self._arguments:
            raise RulesError("Expected a command, got an empty text.")
        if shutil.which(self._arguments[0]) is None:
            raise OutputError(
                f"Expected a program to run for each event, {self._arguments[0]!r} isn't one. Give its path."
            )
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def send(self, event: Event) -> None:
        """Runs the command.

        Raises:
            OutputError: It failed, took too long or can't be started, or `abort` was called.
        """
        import subprocess

        if self._aborted:
            raise OutputError(f"Expected no event for the {self.describe()} after it was ended, got one.")
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
                start_new_session=True,  # so that Ctrl-C doesn't reach it, and a timeout all that it started
            )
        except (OSError, ValueError) as error:
            raise OutputError(f"Expected the {self.describe()} to start, got: {error}.") from error
        self._process = process
        try:
            if self._aborted:  # just now, when there was nothing to end yet
                self._end()
            process.communicate(event_json(event).encode() + b"\n", timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise OutputError(f"The {self.describe()} took more than {self._timeout_s:g} s and was ended.") from error
        finally:
            self._end()
            self._process = None
            process.wait()
        if process.returncode != 0:
            ended = f"ended with status {process.returncode}" if process.returncode > 0 else "was killed"
            raise OutputError(f"The {self.describe()} {ended} for {event.kind} {event.label or 'unknown'}.")

    def abort(self) -> None:
        """See `Sink.abort`: ends the command, with all that it started, which would outlive this process."""
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
