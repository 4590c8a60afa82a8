"""A process of its own that opens hostile files: what one does to it, it does to nobody else."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable

_PATIENCE_S = 60.0  # of a machine that has much else to do


class Worker:
    """Asks a module that calls `answer_lines`, and starts it anew when it has ended."""

    def __init__(self, module: str, *, max_s: float, max_mib: float) -> None:
        self._command = [sys.executable, "-m", module]
        self._max_s, self._max_mib = max_s, max_mib
        self._process = self._started()

    def ask(self, line: str) -> str:
        """The module's answer, or in what way it broke: by ending, hanging, or taking too much."""
        if self._process.poll() is not None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n".encode())
        if not select.select([process.stdout], [], [], _PATIENCE_S)[0]:
            self.close()
            return f"hung for {_PATIENCE_S:.0f} s"
        answer = process.stdout.readline()
        if not answer:  # the end of its output, so of the process
            process.wait()
            return f"ended the process (status {self.close()})"
        became, seconds, mib = json.loads(answer)
        if seconds > self._max_s or mib > self._max_mib:
            return f"took {seconds:.1f} s and {mib:.0f} MiB"
        return str(became)

    def close(self) -> int:
        """Ends the process; returns its status."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        return int(self._process.returncode)

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def answer_lines(answer: Callable[[str], str]) -> None:
    """Answers each line of stdin on stdout, with the seconds and the MiB by which memory's peak has grown.

    Args:
        answer: Says what became of a line; what it lets through is told by its name.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' own lines
    for line in sys.stdin:
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            became = answer(line.strip())
        except Exception as error:
            became = f"{type(error).__name__}: {error}"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps([became, time.perf_counter() - started, grown / 1024]), flush=True)
