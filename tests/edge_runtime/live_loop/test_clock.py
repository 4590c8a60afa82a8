"""Setting the clock forward or back by hours changes timestamps and nothing else.

Small computers without a battery start in the past, and jump when they hear of the time.
"""

from __future__ import annotations

import ast
import json
import random
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge_runtime
from edge_runtime.inference.classifier import Classifier
from edge_runtime.live_loop import capture
from edge_runtime.live_loop.capture import CaptureRules
from edge_runtime.live_loop.decision import DecisionRules
from edge_runtime.live_loop.loop import live
from edge_runtime.sinks import SavedFrames, SaveRules
from edge_runtime.sources.faulty import Fault, FaultySource
from edge_runtime.sources.synthetic import SyntheticSource
from tests.support.results import made_result

HOUR_S = 3600.0
PACKAGE = Path(edge_runtime.__file__).parent
# Uses of the time of day: it is shown or stored, never subtracted.
WALL_CLOCK = {
    "live_loop/loop.py": "of results and events",
    "sinks/pictures/collector.py": "names of pictures",
    "sinks/pictures/saved_frames.py": "names of pictures",
    "sources/recording.py": "when a recording began",
    "device/doctor/board.py": "whether the clock is right",
    "benchmark/runner.py": "when a benchmark ran",
}


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the time of day is off by up to a day, forward or back."""
    rng, true_time = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + rng.randint(-24, 24) * HOUR_S)


@pytest.mark.usefixtures("jumping")
def test_rates_ages_and_how_long_decisions_lasted_are_of_another_clock(
    tiny_int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({round((time.time() - time.monotonic()) / HOUR_S) for _ in range(20)}) > 5
    monkeypatch.setattr(capture, "LONGEST_DELAY_S", 0.1)
    # Silent once, missing once: both are detected and repaired by a monotonic clock.
    camera = FaultySource(
        SyntheticSource(size=(48, 64), fps=100, pace="realtime"),
        [Fault("stall", 20, 0.4), Fault("disconnect", 40, 0.2), Fault("freeze", 60, 0.4)],
    )
    rules = CaptureRules(stall_timeout_s=0.2, freeze_timeout_s=0.2)
    decision = DecisionRules(smoothing="none", enter=0.0, leave=0.0, dwell_s=0.0)
    began, results = time.monotonic(), []
    with Classifier(tiny_int8, num_threads=1) as classifier:
        for result in live(classifier, camera, capture=rules, decision=decision):
            results.append(result)
            if result.counters.reconnects >= 3 and result.frame.index > 20:
                break
    took_s = time.monotonic() - began
    assert took_s < HOUR_S / 60
    assert all(0 <= result.age_ms < 1000 * took_s for result in results)
    assert all(0 <= result.fps < 10_000 for result in results)
    events = [event for result in results if result.decision for event in result.decision.events]
    assert events
    assert all(0 <= event.lasted_s <= took_s for event in events)
    # Timestamps are the clock's, right or wrong.
    times = [result.time for result in results]
    assert max(times) - min(times) > HOUR_S


@pytest.mark.parametrize("step_s", [-HOUR_S, HOUR_S])
def test_saved_frames_keep_their_interval_and_quota(tmp_path: Path, step_s: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    size = len(cv2.imencode(".png", pixels)[1])
    quota_mib = 5.5 * size / (1 << 20)
    rules = SaveRules(score_below=1.0, interval_s=1.0)
    with SavedFrames(tmp_path, rules, format="png", quota_mib=quota_mib, min_free_mib=0) as sink:
        for number in range(40):  # two per second; the clock jumps by an hour with each
            result = made_result(index=number, at=number / 2, pixels=pixels)
            object.__setattr__(result, "time", 1_700_000_000 + number * step_s)
            sink.write(result)
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    named = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    times = [entry["time"] for entry in named if entry["file"] in there]
    # The newest are kept, by order of arrival and not by timestamp.
    assert 3 <= len(there) <= 5
    assert times == [1_700_000_000 + number * step_s for number in range(40 - 2 * len(there), 40, 2)]


def test_the_time_of_day_is_asked_for_where_it_is_shown_and_nowhere_else() -> None:
    asking = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                *("time.time", "time.time_ns", "time.localtime", "time.gmtime"),
                *("datetime.now", "datetime.utcnow", "datetime.today", "datetime.fromtimestamp", "date.today"),
            ):
                asking.add(path.relative_to(PACKAGE).as_posix())
    assert asking == set(WALL_CLOCK)
