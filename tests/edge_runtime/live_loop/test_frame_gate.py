"""The frame gate skips frames by count, by time, and while nothing moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.live_loop.frame_gate import FrameGate, GateRules
from edge_runtime.sources import Frame

GREY = np.full((48, 64, 3), 90, np.uint8)


def wanted(frames: list[Frame], **rules: Any) -> list[int]:
    """Indices of the frames that the gate selects."""
    gate = FrameGate(GateRules(**rules))
    return [frame.index for frame in frames if gate.wants(frame)]


def at_rate(fps: float, count: int, pixels: NDArray[np.uint8] = GREY) -> list[Frame]:
    return [Frame(pixels, index, index / fps) for index in range(count)]


def test_all_frames_by_default() -> None:
    assert wanted(at_rate(30, 5)) == [0, 1, 2, 3, 4]


def test_each_nth_frame_of_the_source_also_where_some_were_dropped() -> None:
    assert wanted(at_rate(30, 10), every=4) == [0, 4, 8]
    frames = [Frame(GREY, index, index / 30) for index in (0, 2, 5, 6, 9, 13)]
    assert wanted(frames, every=4) == [0, 5, 9, 13]


def test_a_source_that_counts_anew_is_not_waited_for() -> None:
    frames = [Frame(GREY, index, at / 30) for at, index in enumerate((100, 101, 0, 1, 2))]
    assert wanted(frames, every=2) == [100, 0, 2]


@pytest.mark.parametrize("max_fps", [1, 7, 10, 29.9])
def test_a_rate_cap_is_kept_and_used(max_fps: float) -> None:
    jitter = np.random.default_rng(0).uniform(-0.003, 0.003, 900)
    frames = [Frame(GREY, index, index / 30 + jitter[index]) for index in range(900)]
    assert len(wanted(frames, max_fps=max_fps)) == pytest.approx(30 * max_fps, rel=0.04, abs=1)


def test_after_a_pause_a_capped_rate_does_not_hurry_to_catch_up() -> None:
    frames = [*at_rate(30, 3), *[Frame(GREY, 3 + index, 10 + index / 30) for index in range(30)]]
    assert len(wanted(frames, max_fps=10)) <= 12


class TestIdle:
    RULES: dict[str, Any] = {"idle_after_s": 1.0, "idle_interval_s": 2.0}  # noqa: RUF012

    def test_a_still_picture_is_looked_at_now_and_then(self) -> None:
        noise = np.random.default_rng(0)
        frames = [
            Frame((GREY + noise.integers(0, 6, GREY.shape)).astype(np.uint8), index, index / 10) for index in range(100)
        ]
        found = wanted(frames, **self.RULES)
        assert found[:10] == list(range(10))
        assert 3 <= len(found[10:]) <= 5

    def test_a_small_thing_that_moves_ends_it_at_once(self) -> None:
        frames = at_rate(10, 50)
        moved = GREY.copy()
        moved[20:26, 30:36] = 200
        frames[35] = Frame(moved, 35, 3.5)
        found = wanted(frames, **self.RULES)
        assert 34 not in found
        assert {35, 36, 40} <= set(found)

    def test_what_creeps_in_slowly_is_seen_in_the_end(self) -> None:
        frames = [Frame(np.full_like(GREY, 50 + index // 4), index, index / 10) for index in range(200)]
        rules = {"idle_after_s": 0.5, "idle_interval_s": 1000.0}
        found = wanted(frames, **rules)
        assert len([index for index in found if index > 30]) >= 3

    def test_another_size_is_a_change(self) -> None:
        frames = [*at_rate(10, 30), Frame(np.full((20, 20, 3), 90, np.uint8), 30, 3.0)]
        assert 29 not in wanted(frames, **{**self.RULES, "idle_interval_s": 1000.0})


@pytest.mark.parametrize(
    "rules", [{"every": 0}, {"max_fps": 0}, {"idle_after_s": -1}, {"idle_interval_s": float("inf")}, {"idle_change": 0}]
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(rules))} must be"):
        GateRules(**rules)
