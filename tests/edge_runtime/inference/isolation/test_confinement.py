"""A confined process cannot do what its model does not need."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.inference.isolation.seccomp import _MACHINES

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _MACHINES, reason="needs Linux on a machine with a filter"
)


def confined(code: str, folder: Path) -> str:
    """Run code in a confined process; return its output, or the error that ended it."""
    start = (
        "import errno, os, socket, subprocess, threading\n"
        "from edge_runtime.inference.isolation.confinement import confine\n"
        "held = confine(memory_bytes=256 << 20)\n"
    )
    command = [sys.executable, "-c", start + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1].split(":")[0]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("os.fork()", "PermissionError"),
        ("os.execv('/bin/true', ['true'])", "PermissionError"),
        ("subprocess.run(['true'])", "PermissionError"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "PermissionError"),
        ("socket.socket()", "PermissionError"),
        ("os.write(os.open('out', os.O_WRONLY | os.O_CREAT), b'x')", "OSError"),
        ("bytearray(300 << 20)", "MemoryError"),
    ],
)
def test_is_refused(code: str, error: str, tmp_path: Path) -> None:
    assert confined(code, tmp_path) == error


def test_holds_in_threads_that_were_there_before(tmp_path: Path) -> None:
    code = (
        "import os, threading\n"
        "from edge_runtime.inference.isolation.confinement import confine\n"
        "go, said = threading.Event(), []\n"
        "def work():\n"
        "    go.wait()\n"
        "    try: os.fork()\n"
        "    except PermissionError: said.append('refused')\n"
        "thread = threading.Thread(target=work); thread.start()\n"
        "confine(memory_bytes=256 << 20); go.set(); thread.join(); print(*said)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == "refused\n", done.stderr


def test_what_a_network_needs_still_works(tmp_path: Path) -> None:
    code = (
        "said = []\n"
        "threads = [threading.Thread(target=said.append, args=(number,)) for number in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "bytearray(100 << 20); open('/proc/self/status').read(); print(len(said))"
    )
    assert confined(code, tmp_path) == "8"


def test_says_what_holds(tmp_path: Path) -> None:
    assert confined("print(held)", tmp_path) == (
        "cannot write files, is limited to 256 MiB of additional memory, cannot start processes or open connections"
    )
