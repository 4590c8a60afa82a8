"""Rounds end by time, by precision or by an interrupt, and what was measured is kept."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.benchmark.timing.contender import Contender, is_steady
from edge_runtime.benchmark.timing.rounds import StoppingRule, run_rounds
from edge_runtime.inference.classifier import Classifier


class TestRounds:
    @pytest.fixture
    def contenders(self, tiny_int8: Path, tiny_fp32: Path, frame: np.ndarray) -> list[Contender]:
        found = [Contender(Classifier(path, num_threads=1)) for path in (tiny_int8, tiny_fp32)]
        for contender in found:
            contender.warm_up(frame, 0)
        return found

    @pytest.fixture
    def frame(self) -> np.ndarray:
        return np.full((48, 64, 3), 90, np.uint8)

    def test_precision_ends_them_before_the_time_is_over(self, contenders: list[Contender], frame: np.ndarray) -> None:
        rule = StoppingRule(seconds=500.0, precision=50.0)
        done = run_rounds(contenders, frame, rule, random.Random(0), baseline=contenders[1])
        assert done.ended_by == "precision"
        assert done.count >= 20

    def test_time_ends_them_where_the_precision_is_out_of_reach(
        self, contenders: list[Contender], frame: np.ndarray
    ) -> None:
        rule = StoppingRule(seconds=0.1, precision=1e-9)
        done = run_rounds(contenders, frame, rule, random.Random(0), baseline=contenders[1])
        assert (done.ended_by, done.count >= 5) == ("seconds", True)

    def test_an_interrupt_ends_them_and_keeps_whole_rounds(
        self, contenders: list[Contender], frame: np.ndarray
    ) -> None:
        def interrupt(count: int) -> None:
            if count == 3:
                # In the middle of a later round, like Ctrl-C.
                threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

        # A program started in the background ignores SIGINT by default.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            done = run_rounds(contenders, frame, StoppingRule(seconds=500.0), random.Random(0), after_round=interrupt)
        finally:
            signal.signal(signal.SIGINT, before)
        assert done.ended_by == "interrupted"
        assert done.count >= 3
        assert [len(contender.turns) for contender in contenders] == [done.count] * 2
        assert gc.isenabled()

    @pytest.mark.parametrize(
        ("medians", "steady"),
        [([1.0, 1.0], False), ([9, 1.0, 1.01, 1.02], True), ([1.3, 1.2, 1.0], False), ([1.0, 1.0, 1.1], False)],
    )
    def test_steady_is_three_windows_alike(self, medians: list[float], steady: bool) -> None:
        assert is_steady(medians) is steady


class TestCommand:
    def test_a_terminated_run_leaves_what_it_measured(self, tiny_int8: Path, tmp_path: Path) -> None:
        kept = tmp_path / "report.json"
        code = (
            "import edge_runtime.benchmark.runner as runner, sys\nrunner.KEEP_EVERY_S = 0.5\n"
            "from edge_runtime.cli.main import main\n"
            f"sys.exit(main(['benchmark', {str(tiny_int8)!r}, '--num-threads', '1', "
            f"'--seconds', '500', '--json', {str(kept)!r}]))"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(600):
            if kept.exists():
                break
            threading.Event().wait(0.1)
        assert json.loads(kept.read_text())["ended_by"] in ("running", "interrupted")
        child.terminate()
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        assert "ended by an interrupt" in out
        assert json.loads(kept.read_text())["ended_by"] == "interrupted"
