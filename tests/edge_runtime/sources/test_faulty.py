"""The camera that fails on purpose does so as scheduled, and says what it did."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.subjects.faults import StampedCamera, stamp_of
from edge_runtime.errors import CameraError, SourceError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.live_loop.capture import CaptureRules
from edge_runtime.live_loop.loop import live
from edge_runtime.sources import open_source
from edge_runtime.sources.faulty import KINDS, Fault, FaultySource, random_faults
from edge_runtime.sources.synthetic import SyntheticSource


def faulty(*faults: Fault) -> FaultySource:
    return FaultySource(SyntheticSource(size=(48, 64)), faults)


class TestSchedule:
    def test_a_fault_is_checked_when_it_is_made(self) -> None:
        with pytest.raises(ValueError, match=r"Unknown kind of fault 'fire'. Use one of drop, stall, "):
            Fault("fire", 3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at least 0, not 3 and -1"):
            Fault("drop", 3, -1)

    def test_random_faults_are_those_of_their_seed_and_rate(self) -> None:
        first, again, other = (list(islice(random_faults(rate=0.1, seed=seed), 2000)) for seed in (1, 1, 2))
        assert first == again != other
        assert {fault.kind for fault in first} == set(KINDS)
        assert first[-1].at / 2000 == pytest.approx(10, rel=0.1)
        assert np.mean([fault.seconds for fault in first]) == pytest.approx(1.0, rel=0.1)


class TestFaults:
    def test_without_any_it_is_a_camera(self) -> None:
        with faulty() as camera:
            frames = [camera.read() for _ in range(3)]
            assert camera.live
        assert [frame.index for frame in frames if frame] == [0, 1, 2]
        assert [frame.position_s for frame in frames if frame] == [None] * 3
        assert camera.read() is None

    def test_drop_loses_a_frame(self) -> None:
        scene = SyntheticSource(size=(48, 64))
        with faulty(Fault("drop", at=1)) as camera:
            pixels = [frame.pixels for frame in (camera.read() for _ in range(2)) if frame]
        assert [np.array_equal(pixels[1], scene.draw(index)) for index in (1, 2)] == [False, True]
        assert camera.tally == {"fault": 1, "frame": 2, "drop": 1}

    def test_freeze_repeats_the_last_good_picture_for_as_long_as_it_lasts(self) -> None:
        with faulty(Fault("freeze", at=2, seconds=0.05)) as camera:
            frames = [frame for frame in (camera.read() for _ in range(4000)) if frame]
        same = [np.array_equal(one.pixels, frames[1].pixels) for one in frames]
        repeated = sum(same) - 1
        assert same == [False, True, *[True] * repeated, *[False] * (4000 - 2 - repeated)]
        assert camera.tally["freeze"] == repeated >= 1

    def test_garbage_is_no_picture(self) -> None:
        with faulty(*(Fault("garbage", at=index) for index in range(6))) as camera:
            spoiled = [frame.pixels for frame in (camera.read() for _ in range(6)) if frame]
            assert camera.read() is not None
        shapes = [getattr(pixels, "shape", None) for pixels in spoiled]
        assert shapes == [(0, 0, 3), (1, 48 * 64 * 3), (48, 64), (48, 64, 3), (48, 64, 4), None]
        assert spoiled[3].dtype == np.float32

    def test_stall_hangs_until_it_is_over(self) -> None:
        with faulty(Fault("stall", at=0, seconds=0.1)) as camera:
            started = time.monotonic()
            assert camera.read() is not None
            assert time.monotonic() - started >= 0.1

    def test_disconnect_is_a_camera_that_is_away_and_comes_back(self) -> None:
        with faulty(Fault("disconnect", at=1, seconds=0.2)) as camera:
            camera.read()
            for _ in range(2):
                with pytest.raises(CameraError, match="was unplugged"):
                    camera.read()
            with pytest.raises(CameraError, match=r"unplugged for another 0\.\d s"):
                camera.reopen()
            time.sleep(max(camera.back_at - time.monotonic(), 0))
            with camera.reopen() as again:
                frame = again.read()
        assert frame is not None
        assert frame.index == 0
        assert camera.tally == {"fault": 1, "frame": 2, "disconnect": 1, "reopen": 1}

    def test_a_live_source_is_reopened_with_it(self) -> None:
        inner = StampedCamera(fps=1000)
        with FaultySource(inner, [Fault("disconnect", at=1)]) as camera:
            camera.read()
            with pytest.raises(CameraError):
                camera.read()
        with camera.reopen() as again:
            frame = again.read()
        assert inner.read() is None
        assert frame is not None
        assert stamp_of(frame.pixels) == (3, 1)

    def test_the_live_loop_comes_through_all_of_it(self, tiny_int8: Path) -> None:
        scene = StampedCamera(fps=200)  # of which no two pictures are the same
        scene.world.ends_at = time.monotonic() + 4
        faults = [Fault(kind, 10 * number, 0.05) for number, kind in enumerate(("garbage", "freeze", "drop"), start=1)]
        camera = FaultySource(scene, [*faults, Fault("stall", 50, 0.6), Fault("disconnect", 70, 0.1)])
        with Classifier(tiny_int8, num_threads=1) as classifier:
            *_, last = live(classifier, camera, capture=CaptureRules(stall_timeout_s=0.3))
        counters = last.counters
        assert camera.tally["fault"] == 5
        assert counters.reconnects == camera.tally["reopen"] >= 2
        assert counters.repeated == camera.tally["freeze"]
        assert counters.malformed == camera.tally["garbage"]
        assert counters.captured == camera.tally["frame"] + camera.tally["freeze"] + camera.tally["garbage"]
        assert counters.captured - counters.repeated - counters.malformed == counters.classified + counters.dropped


class TestSpec:
    def test_is_had_by_name(self) -> None:
        with open_source("faulty", size=(48, 64), fps=90) as camera:
            assert camera.describe() == "faulty camera, synthetic scene, 64×48, at 90 fps"
            assert camera.read() is not None

    def test_a_schedule_is_in_the_order_of_its_frames(self) -> None:
        with open_source("faulty:disconnect@2,garbage@1:0", size=(48, 64), fps=200) as camera:
            assert camera.read() is not None
            assert camera.read() is not None
            with pytest.raises(CameraError):
                camera.read()
            assert isinstance(camera, FaultySource)
            assert camera.tally["garbage"] == 1

    def test_random_faults_have_their_settings(self) -> None:
        with open_source("faulty:rate=1,seconds=0,seed=3", size=(48, 64), fps=500) as camera:
            assert isinstance(camera, FaultySource)
            with pytest.raises(CameraError):
                list(iter(camera.read, None))
            assert camera.tally["fault"] >= 1

    @pytest.mark.parametrize(
        "spec", ["rate", "rate=x", "rate=7", "fire@3", "stall@x", "stall@3:-1", "sed=3", "stall@3,rate=1", "@"]
    )
    def test_what_is_no_schedule_is_refused(self, spec: str) -> None:
        with pytest.raises(SourceError, match=r"is invalid .*'faulty:rate=0\.02"):
            open_source(f"faulty:{spec}")
