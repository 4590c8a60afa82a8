"""Whatever a camera does, delivered frames are new, intact and of this connection, and all frames are counted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.subjects.faults import Holdings, mixed_faults, run_faults
from edge_runtime.errors import CameraError, FrameError, SourceError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.live_loop import capture
from edge_runtime.live_loop.capture import CaptureRules, CaptureThread
from edge_runtime.live_loop.loop import live
from edge_runtime.sources import Frame, Source
from edge_runtime.sources.faulty import Fault
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")

DEADLINE_S = 20.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short delays between attempts, to keep the tests fast."""
    monkeypatch.setattr(capture, "FIRST_DELAY_S", 0.002)
    monkeypatch.setattr(capture, "LONGEST_DELAY_S", 0.02)


def grey(level: int) -> np.ndarray:
    return np.full((16, 16, 3), level, np.uint8)


class Camera(Source):
    """A camera that plays one script per opening.

    A step is a frame's pixels, an error, an event to wait for, or "end"; "away" as a script: it can't be opened. At
    the end of a script it is silent.
    """

    live = True

    def __init__(self, *scripts: Any, opened: list[float] | None = None) -> None:
        script, *self.scripts = scripts
        self.steps = iter(script)
        self.opened = [] if opened is None else opened
        self.closed = threading.Event()
        self.index = 0

    def read(self) -> Frame | None:
        while not self.closed.is_set():
            step = next(self.steps, self.closed)
            if isinstance(step, threading.Event):
                step.wait()
            elif isinstance(step, Exception):
                raise step
            elif isinstance(step, str):
                return None
            else:
                self.index += 1
                return Frame(step, self.index - 1, time.monotonic())
        return None

    def close(self) -> None:
        self.closed.set()

    def describe(self) -> str:
        return "a scripted camera"

    def reopen(self) -> Source:
        self.opened.append(time.monotonic())
        if self.scripts[0] == "away":
            self.scripts.pop(0)
            raise CameraError(f"No camera, {len(self.scripts)} scripts to go.")
        return type(self)(*self.scripts, opened=self.opened)


def capturing(source: Source, **rules: Any) -> closing[CaptureThread]:
    return closing(CaptureThread(source, threading.Event(), CaptureRules(**rules)))


def levels(thread: CaptureThread) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in iter(thread.take, None)]


def steps(*frames: np.ndarray) -> tuple[list[Any], list[threading.Event]]:
    """Script that waits after each frame until its event is set."""
    events = [threading.Event() for _ in frames]
    return [step for pair in zip(frames, events, strict=True) for step in pair], events


class TestRules:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"stall_timeout_s": 0}, "stall_timeout_s must be greater than 0, got 0"),
            ({"freeze_timeout_s": -1.0}, "freeze_timeout_s must be greater than 0, got -1"),
            ({"stall_timeout_s": float("nan")}, "stall_timeout_s must be greater than 0, got nan"),
            ({"retries": -1}, "retries must be at least 0, got -1"),
        ],
    )
    def test_are_checked(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            CaptureRules(**values)


class TestRepeats:
    def test_the_same_picture_again_is_no_new_frame(self) -> None:
        odd = grey(5)
        odd[7, 3, 1] += 1  # one byte, in a row that is not among those compared first
        script, events = steps(grey(5), grey(5), grey(5), odd)
        with capturing(Camera([*script, "end"])) as thread:
            delivered = []
            for event in events:
                wait_until(lambda: thread.counters(classified=0, skipped=0).captured > len(delivered))
                delivered.append(None)
                event.set()
            # The first may have been replaced by the odd one before it was taken.
            last = list(iter(thread.take, None))[-1]
            counters = thread.counters(classified=1, skipped=0)
        assert np.array_equal(last.pixels, odd)
        assert (counters.captured, counters.repeated, counters.dropped) == (4, 2, 1)

    def test_a_caller_that_draws_into_its_frame_hides_no_repeat(self) -> None:
        drawn = threading.Event()
        with capturing(Camera([grey(5), drawn, grey(5), grey(6), "end"])) as thread:
            frame = thread.take()
            assert frame is not None
            frame.pixels[:] = 0
            drawn.set()
            assert levels(thread) == [6]
            assert thread.counters(classified=2, skipped=0).repeated == 1

    def test_what_is_not_live_may_repeat_itself(self) -> None:
        class File(Camera):
            live = False

        with capturing(File([grey(5), grey(5), "end"])) as thread:
            assert levels(thread) == [5, 5]

    @pytest.mark.usefixtures("patient")
    def test_a_picture_that_stands_still_for_long_has_the_camera_reopened(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        frozen = grey(5)

        class Frozen(Camera):
            def read(self) -> Frame | None:
                time.sleep(0.002)
                return super().read()

        # After reopening it still shows the same picture, which is not new.
        camera = Frozen([frozen] * 10_000, [frozen, frozen, grey(6), "end"])
        with capturing(camera, freeze_timeout_s=0.1) as thread:
            assert levels(thread) == [5, 6]
            counters = thread.counters(classified=2, skipped=0)
        assert counters.reconnects == 1
        assert counters.repeated == counters.captured - 2 >= 3
        assert "The same picture for 0.1 s from a scripted camera. Reopening it." in caplog.text

    def test_a_still_picture_can_be_allowed(self) -> None:
        class Frozen(Camera):
            def read(self) -> Frame | None:
                time.sleep(0.002)
                return super().read()

        camera = Frozen([*[grey(5)] * 100, "end"])
        with capturing(camera, stall_timeout_s=0.1, freeze_timeout_s=None) as thread:
            assert levels(thread) == [5]
            assert thread.counters(classified=1, skipped=0).reconnects == 0


class TestMalformed:
    BAD = (
        np.empty((0, 4, 3), np.uint8),
        grey(1)[:, :, 0],
        grey(1).astype(np.float32),
        np.zeros((4, 4, 4), np.uint8),
        None,
    )

    def test_what_is_no_picture_is_left_out_and_counted(self, caplog: pytest.LogCaptureFixture) -> None:
        camera = Camera([grey(1), *self.BAD, "end"])
        with capturing(camera) as thread:
            assert levels(thread) == [1]
            counters = thread.counters(classified=1, skipped=0)
        assert (counters.captured, counters.malformed) == (1 + len(self.BAD), len(self.BAD))
        assert caplog.text.count("uint8 (0, 4, 3), not uint8 (H, W, 3)") == 1

    @pytest.mark.usefixtures("patient")
    def test_it_is_no_sign_of_life(self, caplog: pytest.LogCaptureFixture) -> None:
        class Spoiled(Camera):
            def read(self) -> Frame | None:
                time.sleep(0.01)
                return super().read()

        camera = Spoiled([grey(1)[:, :, 0]] * 10_000, [grey(2), "end"])
        with capturing(camera, stall_timeout_s=0.2) as thread:
            assert levels(thread) == [2]
            assert thread.counters(classified=1, skipped=0).malformed > 1
        assert "No frame for 0." in caplog.text

    def test_in_a_file_it_is_an_error(self, tiny_int8: Path) -> None:
        class File(Camera):
            live = False

        with Classifier(tiny_int8, num_threads=1) as classifier, pytest.raises(FrameError):
            list(live(classifier, File([grey(1).astype(np.float32), "end"])))


class TestStale:
    """A frame from before the camera broke is not delivered after it is back."""

    @pytest.mark.usefixtures("patient")
    def test_what_waits_when_the_camera_is_unplugged_is_dropped(self) -> None:
        back = threading.Event()
        with capturing(Camera([grey(1), CameraError("Unplugged.")], [back, grey(2), "end"])) as thread:
            wait_until(lambda: thread.counters(classified=0, skipped=0).reconnects == 1)
            threading.Timer(0.1, back.set).start()
            assert levels(thread) == [2]
            assert thread.counters(classified=1, skipped=0).dropped == 1

    @pytest.mark.usefixtures("patient")
    def test_what_waits_when_nothing_followed_is_dropped(self) -> None:
        with capturing(Camera([grey(1)], [grey(2), "end"]), stall_timeout_s=0.1) as thread:
            wait_until(lambda: thread.counters(classified=0, skipped=0).captured == 1)
            time.sleep(0.2)  # the caller is busy for longer than the stall timeout
            assert levels(thread) == [2]
            assert thread.counters(classified=1, skipped=0).dropped == 1


class TestRetries:
    @pytest.mark.usefixtures("patient")
    def test_after_so_many_in_a_row_the_last_error_comes_through(self) -> None:
        camera = Camera([CameraError("Unplugged.")], *["away"] * 9)
        with capturing(camera, retries=3) as thread, pytest.raises(CameraError, match="No camera, 6 scripts to go"):
            thread.take()
        assert len(camera.opened) == 3

    @pytest.mark.usefixtures("patient")
    def test_none_at_all(self) -> None:
        camera = Camera([CameraError("Unplugged.")])
        with capturing(camera, retries=0) as thread, pytest.raises(CameraError, match="Unplugged"):
            thread.take()
        assert camera.opened == []

    @pytest.mark.usefixtures("patient")
    def test_a_new_frame_starts_the_count_anew(self) -> None:
        failure = CameraError("Unplugged.")
        camera = Camera([failure], "away", [grey(1), failure], "away", [grey(2), failure], "away", [grey(3), "end"])
        with capturing(camera, retries=2) as thread:
            assert levels(thread)[-1] == 3

    @pytest.mark.usefixtures("patient")
    def test_a_camera_that_opens_but_delivers_nothing_does_not(self) -> None:
        camera = Camera(*[[CameraError(f"Broken {number}.")] for number in range(9)])
        with capturing(camera, retries=3) as thread, pytest.raises(CameraError, match="Broken 3"):
            thread.take()

    @pytest.mark.usefixtures("patient")
    def test_silence_counts_too(self) -> None:
        with (
            capturing(Camera([], [], [], [grey(1)]), retries=2, stall_timeout_s=0.1) as thread,
            pytest.raises(SourceError, match=r"No frame for 0\.\d s from a scripted camera"),
        ):
            thread.take()

    def test_delays_grow_to_less_than_a_second(self) -> None:
        camera = Camera([CameraError("Unplugged.")], *["away"] * 5, [grey(1), "end"])
        started = time.monotonic()
        with capturing(camera) as thread:
            assert levels(thread) == [1]
        gaps = np.diff([started, *camera.opened])
        assert (gaps >= [0.05, 0.1, 0.2, 0.4, 0.4, 0.4]).all()
        assert capture.LONGEST_DELAY_S < 1

    def test_messages_become_rare(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(capture, "FIRST_DELAY_S", 0.0)
        monkeypatch.setattr(capture, "LONGEST_DELAY_S", 0.0)
        camera = Camera([CameraError("Unplugged.")], *["away"] * 2000, [grey(1), "end"])
        with capturing(camera) as thread:
            assert levels(thread) == [1]
        assert len(caplog.records) < 20


class HangingCamera(Camera):
    """Holds a file open, like a device, until `read` returns, which hangs even after `close`."""

    let_go: threading.Event

    def __init__(self, *scripts: Any, opened: list[float] | None = None) -> None:
        super().__init__(*scripts, opened=opened)
        self.device = os.open(os.devnull, os.O_RDONLY)

    def read(self) -> Frame | None:
        self.let_go.wait()
        if self.closed.is_set():
            os.close(self.device)
        return super().read()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingCamera]:
    """A camera whose driver returns at the end of the test; then its threads and files must be gone."""
    monkeypatch.setattr(capture, "STOP_POLL_S", 0.005)
    monkeypatch.setattr(HangingCamera, "let_go", threading.Event(), raising=False)
    before = Holdings.now()
    yield HangingCamera(*[[] for _ in range(99)])
    HangingCamera.let_go.set()
    wait_until(lambda: Holdings.now().threads <= before.threads)
    wait_until(lambda: Holdings.now().files == before.files)


class TestHangingDriver:
    @pytest.mark.usefixtures("patient")
    def test_few_threads_are_left_in_it(self, hanging: HangingCamera, caplog: pytest.LogCaptureFixture) -> None:
        stop = threading.Event()
        with closing(CaptureThread(hanging, stop, CaptureRules(stall_timeout_s=0.02))) as thread:
            timer = threading.Timer(1.0, stop.set)
            timer.start()
            assert thread.take() is None
            timer.join()
        assert len(hanging.opened) == capture.MOST_LEFT
        assert caplog.text.count("4 reads hang in the driver of a scripted camera") == 1

    @pytest.mark.usefixtures("patient")
    def test_it_is_an_error_where_retries_are_limited(self, hanging: HangingCamera) -> None:
        with (
            capturing(hanging, stall_timeout_s=0.02, retries=50) as thread,
            pytest.raises(SourceError, match="4 earlier reads"),
        ):
            thread.take()


class TestAThousandFaults:
    @pytest.mark.slow
    @pytest.mark.usefixtures("patient")
    def test_nothing_wrong_is_classified_and_everything_is_counted(self, tiny_int8: Path) -> None:
        schedule = mixed_faults(rate=0.3, seconds=0.01, seed=4, stall_s=0.3)
        rules = CaptureRules(stall_timeout_s=0.15, freeze_timeout_s=0.01)
        with Classifier(tiny_int8, num_threads=1) as classifier:
            run = run_faults(classifier, schedule, count=1000, rules=rules)
        assert run.faults == 1000
        assert (run.invented, run.again, run.stale) == (0, 0, 0)
        assert run.uncounted == 0
        assert run.results > 100
        assert run.reconnects > 100


class TestGrowth:
    @pytest.mark.slow
    @pytest.mark.usefixtures("patient")
    def test_many_reconnects_leave_nothing_behind(self, tiny_int8: Path) -> None:
        faults = (Fault("disconnect", 2 * number) for number in count())
        held: dict[int, Holdings] = {}
        with Classifier(tiny_int8, num_threads=1) as classifier:
            run = run_faults(
                classifier,
                faults,
                count=400,
                rules=CaptureRules(),
                size=(480, 640),
                on_result=lambda reconnects: held.setdefault(reconnects, Holdings.now()) and None,
            )
        assert run.reconnects == 400
        early, late = held[min(key for key in held if key >= 100)], held[400]
        # The camera may be opening or closing during a check; a leak at each of 300 reconnects would show.
        assert abs(late.threads - early.threads) <= 1
        assert abs(late.files - early.files) <= 1
        # One frame kept per reconnect would add up to 276 MB.
        assert late.memory_bytes - early.memory_bytes < 16 << 20
