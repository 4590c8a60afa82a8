"""The live loop delivers the newest frame, loses nothing of a file, and survives a source that stops."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.errors import CameraError, RulesError, SourceError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.live_loop import capture
from edge_runtime.live_loop.capture import CaptureRules
from edge_runtime.live_loop.decision import DecisionRules
from edge_runtime.live_loop.frame_gate import GateRules
from edge_runtime.live_loop.loop import live
from edge_runtime.sources import Frame, Source, open_source
from edge_runtime.sources.synthetic import SyntheticSource
from edge_runtime.types import Region
from tests.support.tiny import picture


@pytest.fixture(scope="module")
def classifier(tiny_int8: Path) -> Iterator[Classifier]:
    with Classifier(tiny_int8, num_threads=1) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> Iterator[None]:
    before = threading.active_count()
    yield
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


class Device(Source):
    """A camera that delivers some frames, then fails or stalls until it is reopened."""

    live = True
    levels = count()  # no two pictures are equal

    def __init__(self, scripts: list[list[str]]) -> None:
        """``scripts``: per opening, what each `read` does: "frame", "fail", "hang", "end" or "crash"."""
        self.scripts = scripts
        self.script = iter(scripts.pop(0))
        self.closed = threading.Event()
        self.reopened: Device | None = None
        self.index = 0

    def read(self) -> Frame | None:
        step = "end" if self.closed.is_set() else next(self.script, "hang")
        if step == "frame":
            time.sleep(0.002)
            self.index += 1
            pixels = np.full((32, 32, 3), next(self.levels) % 256, np.uint8)
            return Frame(pixels, self.index - 1, time.monotonic())
        if step == "fail":
            raise CameraError("The cable was pulled.")
        if step == "crash":
            raise ZeroDivisionError("a bug in the source")
        if step == "hang":
            self.closed.wait()
        return None

    def close(self) -> None:
        self.closed.set()

    def describe(self) -> str:
        return "a scripted camera"

    def reopen(self) -> Source:
        if self.scripts[0] == ["missing"]:
            self.scripts.pop(0)
            raise CameraError("There is no camera.")
        self.reopened = Device(self.scripts)
        return self.reopened


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short delays between attempts, to keep the tests fast."""
    monkeypatch.setattr(capture, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(capture, "LONGEST_DELAY_S", 0.05)


class TestFiles:
    def test_every_frame_of_a_file_is_classified_once_and_in_order(
        self, classifier: Classifier, tmp_path: Path
    ) -> None:
        path = tmp_path / "clip.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
        for index in range(40):
            writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
        writer.release()
        results = list(live(classifier, open_source(path)))
        assert [result.frame.index for result in results] == list(range(40))
        assert results[-1].counters.dropped == 0
        means = [float(result.frame.pixels.mean()) for result in results]
        assert means == pytest.approx([5 * index for index in range(40)], abs=4)

    def test_a_result_is_what_the_classifier_says_about_its_frame(self, classifier: Classifier) -> None:
        for result in live(classifier, SyntheticSource(count=5), top_k=2):
            alone = classifier.classify(result.frame.pixels, top_k=2)
            assert result.prediction.categories == alone.categories
            assert len(result.prediction.categories) == 2
            assert result.age_ms >= result.prediction.total_ms
            assert abs(result.time - time.time()) < 5

    def test_a_score_threshold_can_leave_nothing(self, classifier: Classifier) -> None:
        (result,) = live(classifier, SyntheticSource(count=1), score_threshold=1.1)
        assert result.prediction.top is None

    def test_an_error_in_a_file_comes_through_after_the_frames_before_it(self, classifier: Classifier) -> None:
        class File(Device):
            live = False

        source = File([["frame", "frame", "fail"]])
        results = live(classifier, source)
        assert [next(results).frame.index, next(results).frame.index] == [0, 1]
        with pytest.raises(CameraError, match="The cable was pulled"):
            next(results)
        assert source.closed.is_set()


class TestPace:
    def test_a_slow_reader_gets_new_frames_and_the_dropped_ones_are_counted(self, classifier: Classifier) -> None:
        source = SyntheticSource(size=(48, 64), fps=100, pace="realtime", count=60)
        indices, ages = [], []
        for result in live(classifier, source):
            indices.append(result.frame.index)
            ages.append(result.age_ms)
            time.sleep(0.05)
        assert 5 < len(indices) < 30
        assert indices == sorted(set(indices))
        assert indices[-1] == 59
        assert result.counters.dropped == 60 - len(indices)
        # Never older than the camera's period, however slow the reader: no queue. Median, as the machine is shared.
        assert sorted(ages)[len(ages) // 2] < 25

    def test_fps_is_the_rate_of_results(self, classifier: Classifier) -> None:
        results = list(live(classifier, SyntheticSource(size=(48, 64), fps=40, pace="realtime", count=40)))
        assert results[0].fps == 0
        assert results[-1].fps == pytest.approx(40, rel=0.25)


class TestStopping:
    def test_the_stop_event_ends_the_loop_while_a_camera_is_silent(self, classifier: Classifier) -> None:
        source, stop = Device([["frame", "hang"]]), threading.Event()
        results = live(classifier, source, stop=stop, capture=CaptureRules(stall_timeout_s=60))
        next(results)
        threading.Timer(0.05, stop.set).start()
        started = time.monotonic()
        assert list(results) == []
        assert time.monotonic() - started < 1
        assert source.closed.is_set()

    def test_closing_the_generator_releases_a_source_that_hangs_in_read(self, classifier: Classifier) -> None:
        source = Device([["frame", "hang"]])
        results = live(classifier, source)
        next(results)
        results.close()
        assert source.closed.is_set()

    def test_closing_returns_at_once_when_the_driver_never_lets_go(self, classifier: Classifier) -> None:
        let_go = threading.Event()

        class Stubborn(Device):
            def read(self) -> Frame | None:
                if self.index:
                    let_go.wait()
                return super().read()

        results = live(classifier, Stubborn([["frame"]]))
        next(results)
        started = time.monotonic()
        results.close()
        assert time.monotonic() - started < 2
        let_go.set()

    def test_closing_while_the_capture_thread_waits_for_us(self, classifier: Classifier) -> None:
        results = live(classifier, SyntheticSource())
        next(results)
        time.sleep(0.05)  # now one frame waits in the mailbox, and one in the thread
        results.close()

    def test_an_error_of_the_classifier_closes_the_source(self, classifier: Classifier) -> None:
        source = Device([["frame"] * 5])
        with pytest.raises(ValueError, match="top_k"):
            next(live(classifier, source, top_k=0))
        assert source.closed.is_set()


class TestReopening:
    @pytest.mark.usefixtures("patient")
    def test_a_camera_that_fails_is_reopened(self, classifier: Classifier, caplog: pytest.LogCaptureFixture) -> None:
        source = Device([["frame", "frame", "fail"], ["missing"], ["missing"], ["frame", "end"]])
        with caplog.at_level(logging.WARNING):
            results = list(live(classifier, source))
        # Of the first two, one that still waits when the cable is pulled is stale; no frame is made up meanwhile.
        assert 1 <= len(results) <= 3
        assert results[-1].counters.captured == 3 == len(results) + results[-1].counters.dropped
        assert results[-1].counters.reconnects == 1
        assert caplog.text.count("There is no camera. Trying again (") == 2
        assert "Reopened: a scripted camera" in caplog.text
        assert source.closed.is_set()
        assert source.reopened is not None
        assert source.reopened.closed.is_set()

    @pytest.mark.usefixtures("patient")
    def test_a_camera_that_falls_silent_is_noticed_by_time(
        self, classifier: Classifier, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = Device([["frame", "hang"], ["frame", "hang"], ["frame", "end"]])
        results = list(live(classifier, source, capture=CaptureRules(stall_timeout_s=0.6)))
        assert [result.frame.index for result in results] == [0, 0, 0]
        assert results[-1].counters.reconnects == 2
        assert "No frame for" in caplog.text

    @pytest.mark.usefixtures("patient")
    def test_a_late_frame_of_a_thread_that_was_given_up_is_not_delivered(self, classifier: Classifier) -> None:
        let_go = threading.Event()

        class Stubborn(Device):
            def read(self) -> Frame | None:
                if self.index == 1:
                    let_go.wait()
                    return Frame(np.zeros((32, 32, 3), np.uint8), 777, time.monotonic())
                return super().read()

        source = Stubborn([["frame"], ["frame", "frame", "frame", "end"]])
        indices = []
        for result in live(classifier, source, capture=CaptureRules(stall_timeout_s=0.6)):
            indices.append(result.frame.index)
            if result.counters.reconnects:
                let_go.set()
        assert indices[0] == 0
        assert 777 not in indices
        assert result.counters.reconnects == 1

    def test_a_bug_in_a_source_is_not_taken_for_a_broken_camera(self, classifier: Classifier) -> None:
        with pytest.raises(ZeroDivisionError, match="a bug in the source"):
            list(live(classifier, Device([["crash"]])))

    def test_a_live_source_of_ones_own_needs_reopen(self, classifier: Classifier) -> None:
        class Simple(Device):
            reopen = Source.reopen

        source = Simple([["frame"]])
        with pytest.raises(SourceError, match="Simple cannot be reopened"):
            next(live(classifier, source))
        assert source.closed.is_set()
        with pytest.raises(CameraError, match="cable"):  # without retries, reopen is not needed
            list(live(classifier, Simple([["frame", "fail"]]), capture=CaptureRules(retries=0)))

    @pytest.mark.usefixtures("patient")
    def test_stopping_works_while_a_camera_is_away(self, classifier: Classifier) -> None:
        stop = threading.Event()
        threading.Timer(0.2, stop.set).start()
        source = Device([["fail"], *[["missing"]] * 100])
        assert list(live(classifier, source, stop=stop)) == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of each color at 20 frames per second."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for label in ("green", "red", "blue"):
        for index in range(20):
            writer.write(picture(label, seed=index)[:, :, ::-1])
    writer.release()
    return path


class TestDeciding:
    """Decisions on a clip of plain colors, which the network tells apart."""

    def test_events_come_once_for_each_colour_however_fast_the_clip_is_played(
        self, classifier: Classifier, clip: Path
    ) -> None:
        rules = DecisionRules(smoothing_s=0.2, dwell_s=0.2, enter=0.5, leave=0.3)
        results = list(live(classifier, open_source(clip), decision=rules))
        decisions = [result.decision for result in results if result.decision is not None]
        assert len(decisions) == 60
        entered = [event for decision in decisions for event in decision.events if event.kind == "entered"]
        assert [event.label for event in entered] == ["green", "red", "blue"]
        left = [event for decision in decisions for event in decision.events if event.kind == "left"]
        # Measured in the clip's time, not in processing time.
        assert [event.lasted_s for event in left] == pytest.approx([1.0, 1.0], abs=0.5)

    def test_without_rules_there_is_no_decision(self, classifier: Classifier, clip: Path) -> None:
        result = next(live(classifier, open_source(clip)))
        assert result.decision is None
        assert result.prediction.scores is None

    def test_rules_that_name_another_models_class_are_refused_before_a_frame_is_read(
        self, classifier: Classifier
    ) -> None:
        source = Device([["frame"] * 5])
        with pytest.raises(RulesError, match="no class violet"):
            next(live(classifier, source, decision=DecisionRules(deny=("violet",))))
        assert source.index == 0

    def test_a_region_is_all_that_the_network_sees(self, classifier: Classifier) -> None:
        class Halves(SyntheticSource):
            def draw(self, index: int) -> NDArray[np.uint8]:
                halves = [picture(label, height=64, width=64)[:, :, ::-1] for label in ("red", "green")]
                return np.ascontiguousarray(np.hstack(halves))

        for left, label in ((0.0, "red"), (0.5, "green")):
            (result,) = live(classifier, Halves(count=1), region=Region(left, 0, 0.5, 1))
            top = result.prediction.top
            assert top is not None
            assert top.label == label
            assert result.frame.pixels.shape == (64, 128, 3)

    def test_the_gate_leaves_out_frames_and_counts_them(self, classifier: Classifier) -> None:
        seen: list[int] = []
        source = SyntheticSource(size=(48, 64), count=20)
        results = list(
            live(classifier, source, gate=GateRules(every=5), on_frame=lambda frame: seen.append(frame.index))
        )
        assert [result.frame.index for result in results] == [0, 5, 10, 15]
        assert seen == list(range(20))
        assert results[-1].counters.skipped == 12
        assert results[-1].counters.classified == 4

    def test_the_heart_beats_while_a_camera_is_silent(self, classifier: Classifier) -> None:
        stop, beats = threading.Event(), []

        def beat() -> None:
            beats.append(time.monotonic())
            if len(beats) == 8:
                stop.set()

        source = Device([["frame", "hang"]])
        results = list(live(classifier, source, stop=stop, heartbeat=beat))
        assert len(results) == 1
        assert len(beats) == 8


@given(
    left=st.floats(0, 0.99), top=st.floats(0, 0.99), width=st.floats(0.01, 1), height=st.floats(0.01, 1),
    rows=st.integers(1, 50), columns=st.integers(1, 50),
)  # fmt: skip
def test_a_region_is_a_view_of_at_least_one_pixel_inside_of_the_frame(
    left: float, top: float, width: float, height: float, rows: int, columns: int
) -> None:
    pixels = np.zeros((rows, columns, 3), np.uint8)
    part = Region(left, top, min(width, 1 - left), min(height, 1 - top)).of(pixels)
    assert part.shape[0] >= 1
    assert part.shape[1] >= 1
    assert part.base is pixels
    assert abs(part.shape[0] - min(height, 1 - top) * rows) <= 1.5
    assert abs(part.shape[1] - min(width, 1 - left) * columns) <= 1.5


@pytest.mark.parametrize("values", [(0.5, 0, 0.6, 1), (-0.1, 0, 0.5, 0.5), (0, 0, 0, 1), (0, float("nan"), 1, 1)])
def test_a_region_outside_of_the_frame_is_refused(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(RulesError, match="is not inside the frame"):
        Region(*values)
