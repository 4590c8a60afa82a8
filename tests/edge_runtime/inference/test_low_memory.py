"""Out of memory, a command ends with one sentence: no traceback, no crash, no hang."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edge_runtime.cli.memory import OUT_OF_MEMORY, is_out_of_memory

MIB = 1 << 20


def run_within(mebibytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command with limited address space."""
    return subprocess.run(
        [sys.executable, "-m", "edge_runtime", *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mebibytes * MIB, mebibytes * MIB)),
        capture_output=True,
        text=True,
        timeout=60,
    )


# What may fail in turn: Python's threads, NumPy, OpenCV, the interpreter, the model, the capture thread.
@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [30, 60, 100, 140, 180, 220, 260, 280, 300, 310, 320, 330, 1500])
def test_a_command_says_so_in_one_sentence(tiny_int8: Path, mebibytes: int) -> None:
    done = run_within(mebibytes, "run", tiny_int8, "--source", "synthetic", "--max-frames", 3)
    assert "Traceback" not in done.stderr
    if mebibytes == 1500:
        assert done.returncode == 0, done.stderr
    elif mebibytes <= 200 or done.returncode:
        assert done.returncode == 1, done.stderr
        assert done.stderr.splitlines()[-1] == f"edge-runtime: {OUT_OF_MEMORY}"


def test_where_there_is_next_to_nothing_for_libraries(tiny_int8: Path) -> None:
    done = run_within(100, "classify", tiny_int8, "picture.jpg")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == f"edge-runtime: {OUT_OF_MEMORY}"


class TestIsOutOfMemory:
    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            ImportError("libx.so: failed to map segment from shared object"),
            RuntimeError("can't start new thread"),
        ],
    )
    def test_by_each_name_and_behind_another_error(self, error: Exception) -> None:
        assert is_out_of_memory(error)
        outer = ValueError("Something else.")
        outer.__cause__ = error
        assert is_out_of_memory(outer)

    def test_opencv_says_it_in_its_own_words(self) -> None:
        with pytest.raises(cv2.error) as raised:
            # A picture of this size would need 8 TiB.
            cv2.copyMakeBorder(cv2.UMat(1, 1, cv2.CV_8UC1).get(), 0, 1 << 22, 0, 1 << 21, cv2.BORDER_CONSTANT)
        assert is_out_of_memory(raised.value)

    @pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError(errno.ENOENT, "No such file")])
    def test_nothing_else_is(self, error: Exception) -> None:
        assert not is_out_of_memory(error)
