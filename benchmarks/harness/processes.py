"""Time and memory of a fresh process up to its first result."""

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
    """Measurements of a process.

    Attributes:
        seconds: Time from its start to the first line on its stdout.
        peak_bytes: Peak memory over its whole life.
        line: First line on its stdout.
    """

    seconds: float
    peak_bytes: int
    line: str


def first_result(command: Sequence[str], *, env: Mapping[str, str], cwd: str) -> FirstResult:
    """Run a command to its end.

    Raises:
        RuntimeError: The command failed, or its peak memory cannot be told from ours.
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
            raise RuntimeError(f"{' '.join(command[:2])} failed:\n{messages.read()}")
    # On Linux a child's peak includes what the parent held when it was forked.
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise RuntimeError("The measuring process uses more memory than the measured one. Import less in it.")
    return FirstResult(seconds, usage.ru_maxrss * 1024, line)
