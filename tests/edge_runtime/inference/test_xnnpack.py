from __future__ import annotations

import ctypes
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.errors import BackendError
from edge_runtime.inference import xnnpack
from edge_runtime.inference.classifier import Classifier

tflite_runtime = pytest.importorskip("tflite_runtime", reason="the switch is for tflite-runtime")
if platform.machine() not in ("x86_64", "aarch64"):
    pytest.skip("tflite-runtime has no XNNPACK on this processor", allow_module_level=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache without a remembered self-test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge_runtime"


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a child process fails the test."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


def python_that(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


class TestSelfTest:
    def test_passes_here(self, cache: Path) -> None:
        assert xnnpack.unavailable_reason() == ""

    def test_its_outcome_is_remembered(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert xnnpack.unavailable_reason() == ""
        (record,) = cache.iterdir()
        assert json.loads(record.read_text()) == {"reason": ""}
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        assert xnnpack.unavailable_reason() == ""

    def test_a_child_that_cannot_start_is_a_reason_for_now_only(self, cache: Path, tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", "/nowhere/python")
            assert "could not be run" in xnnpack.unavailable_reason()
        assert not cache.exists()
        assert xnnpack.unavailable_reason() == ""

    def test_a_child_that_crashes_is_a_reason_for_good(
        self, cache: Path, tmp_path: Path, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        python_that("kill -SEGV $$", tmp_path, monkeypatch)
        assert "exit status -11" in xnnpack.unavailable_reason()
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with Classifier(tiny_int8, backend="tflite_runtime") as classifier:
            assert classifier.backend.int8_kernels == "off"
            assert "exit status -11" in classifier.backend.int8_kernels_reason

    def test_a_child_that_hangs_is_given_up(self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        python_that("exec sleep 30", tmp_path, monkeypatch)
        monkeypatch.setattr(xnnpack, "_SELF_TEST_TIMEOUT_S", 0.2)
        assert "timed out" in xnnpack.unavailable_reason()
        assert not cache.exists()

    def test_a_wrong_answer_is_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert xnnpack.self_test() == ""
        monkeypatch.setattr(xnnpack, "_SELF_TEST_RESULT", (-24, 76, -28, -52))
        assert "instead of about [-24, 76, -28, -52]" in xnnpack.self_test()

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "\x00\x01"])
    def test_a_damaged_record_is_made_anew(self, cache: Path, content: str) -> None:
        record = xnnpack._record_path()
        record.parent.mkdir(parents=True)
        record.write_text(content)
        assert xnnpack.unavailable_reason() == ""
        assert json.loads(record.read_text()) == {"reason": ""}

    def test_a_remembered_reason_is_told(self, cache: Path, no_child: None) -> None:
        record = xnnpack._record_path()
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"reason": "it went wrong"}))
        assert xnnpack.unavailable_reason() == "it went wrong"

    def test_a_cache_that_cannot_be_written_only_costs_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert xnnpack.unavailable_reason() == ""

    def test_a_user_without_a_home_only_loses_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")  # pathlib's message for such a user

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", no_home)
        assert xnnpack.unavailable_reason() == ""

    def test_is_done_once_for_each_wheel(self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = xnnpack._record_path()
        monkeypatch.setattr(platform, "node", lambda: "another-machine")
        assert xnnpack._record_path() != before


class TestOtherWheels:
    def test_another_version_is_left_alone(
        self, cache: Path, no_child: None, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tflite_runtime, "__version__", "2.15.0")
        assert xnnpack.unavailable_reason() == "they need tflite-runtime 2.14.0, and 2.15.0 is installed"
        with Classifier(tiny_int8, backend="tflite_runtime") as classifier:
            assert classifier.backend.int8_kernels == "off"
            assert "2.15.0 is installed" in classifier.backend.int8_kernels_reason
        with pytest.raises(BackendError, match=r"are not available: they need .* Set int8_kernels to 'auto'"):
            Classifier(tiny_int8, backend="tflite_runtime", int8_kernels="on")

    def test_a_wheel_without_the_symbols_is_left_alone(
        self, cache: Path, no_child: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(xnnpack, "_SYMBOLS", ("TfLiteXNNPackDelegateCreate", "NoSuchFunction"))
        assert "built without XNNPACK (no NoSuchFunction)" in xnnpack.unavailable_reason()

    def test_default_options_of_another_layout_are_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Later(ctypes.Structure):
            # As if a field had been inserted: what is read as the flags is not zero.
            _fields_ = xnnpack._Options._fields_

        def later() -> Later:
            return Later(0, 7, None, False)

        library = xnnpack._library()
        monkeypatch.setattr(xnnpack, "_library", lambda: library)
        monkeypatch.setattr(library, "TfLiteXNNPackDelegateOptionsDefault", later)
        with pytest.raises(BackendError, match=r"default options are \(0, 7, None, False\)"):
            xnnpack.QuantizedDelegate(num_threads=1)


def test_delegates_come_and_go_without_a_trace(tiny_int8: Path) -> None:
    # In a separate process, since a fault would crash it or leak memory.
    code = f"""
import resource
from edge_runtime.inference.classifier import Classifier

def cycle():
    with Classifier({str(tiny_int8)!r}, num_threads=2) as classifier:
        assert classifier.backend.int8_kernels == "on"
        classifier.invoke()

for _ in range(5):
    cycle()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(25):
    cycle()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 2048  # KiB; each delegate takes about 50
