"""What large pictures took doesn't stay in the server's process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys
from edge_runtime.server.protection.memory import free_large_buffers_at_once

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

if not free_large_buffers_at_once():
    sys.exit("another libc")
before = resident_mib()
for _ in range(3):  # glibc learns from those that are freed
    buffer = bytearray(16 * 2**20)
    small = [bytes(600) for _ in range(1000)]  # at the top of the heap, above it
    del buffer
print(resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_buffer_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    if "another libc" in done.stderr:
        pytest.skip("the C library isn't glibc")
    assert float(done.stdout) < 4
