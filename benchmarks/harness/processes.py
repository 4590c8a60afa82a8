"""Fresh processes, from start to first result."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FirstResult:
    """What a process took.

    Attributes:
        seconds: From its start to the first line on its stdout.
        peak_bytes: The most memory that it held at a time, until its end.
        line: That line.
    """

    seconds: float
    peak_bytes: int
    line: str


def first_result(command: Sequence[str], *, env: Mapping[str, str], cwd: str) -> FirstResult:
    """Runs a command to its end.

    Raises:
        RuntimeError: It failed, or its memory can't be told from ours.
    """
    with tempfile.TemporaryFile("w+") as messages:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages, text=True, env=dict(env), cwd=cwd)
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        seconds = time.perf_counter() - start
        child.stdout.read()
        child.stdout.close()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        if child.returncode != 0 or not line:
            raise RuntimeError(f"Expected a result from {' '.join(command[:2])}, got: {messages.read()}")
    # Linux counts into a child's peak what the parent held when the child was made.
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise RuntimeError("Expected the measuring process to be smaller than the measured one: import less in it.")
    return FirstResult(seconds, usage.ru_maxrss * 1024, line)
