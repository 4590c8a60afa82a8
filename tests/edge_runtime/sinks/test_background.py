"""A slow sink never slows the camera, a failing one never ends the loop, and a full queue loses its oldest."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Background, Callback, Sink
from edge_runtime.types import Event, LiveResult
from tests.support.results import ENTERED, made_result
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


class Gate(Sink):
    """Takes a result only when it is let: as a server that answers late."""

    def __init__(self, *, needs_pixels: bool = True) -> None:
        self.needs_pixels = needs_pixels
        self.permits = threading.Semaphore(0)
        self.busy = threading.Event()
        self.taken: list[LiveResult] = []
        self.threads: set[int] = set()
        self.closed_by: int | None = None

    def write(self, result: LiveResult) -> bool:
        self.threads.add(threading.get_ident())
        self.busy.set()
        self.permits.acquire()
        self.taken.append(result)
        return True

    def close(self) -> None:
        self.closed_by = threading.get_ident()

    @property
    def indices(self) -> list[int]:
        return [result.frame.index for result in self.taken]


def test_a_sink_that_hangs_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    sink = Gate()
    background = Background(sink, capacity=3, close_timeout_s=0.05)
    assert background.write(made_result(index=0))
    assert sink.busy.wait(20)
    for index in range(1, 101):
        assert background.write(made_result(index=index))
    assert background.dropped == 97
    background.close()
    assert "The sink Gate cannot keep up; the oldest results are dropped" in caplog.text
    assert "The sink Gate did not finish within 0.05 s; results lost: 4." in caplog.text
    assert len(caplog.records) == 2
    assert not background.write(made_result())
    background.close()  # does nothing
    for _ in range(9):
        sink.permits.release()
    wait_until(lambda: sink.closed_by is not None)
    assert sink.indices == [0]  # what was left behind isn't sent later


def test_close_lets_the_sink_finish_what_waits() -> None:
    sink = Gate()
    with Background(sink) as background:
        for index in range(5):
            background.write(made_result(index=index))
        for _ in range(5):
            sink.permits.release()
    assert sink.indices == [0, 1, 2, 3, 4]
    assert sink.threads == {sink.closed_by}
    assert sink.threads != {threading.get_ident()}


@given(capacity=st.integers(1, 6), steps=st.lists(st.booleans(), max_size=40))
def test_the_queue_keeps_the_order_loses_the_oldest_and_never_exceeds_its_capacity(
    capacity: int, steps: list[bool]
) -> None:
    sink = Gate()
    expected: list[int] = []  # in the hands of the sink, taken or about to be
    waiting: list[int] = []  # what the queue should hold
    dropped = written = 0
    with Background(sink, capacity=capacity) as background:
        for is_write in steps:
            if is_write:
                background.write(made_result(index=written))
                if len(expected) == len(sink.taken):  # the sink is free and takes it at once
                    expected.append(written)
                    wait_until(lambda: not background._queue)
                else:
                    waiting.append(written)
                    if len(waiting) > capacity:
                        waiting.pop(0)
                        dropped += 1
                written += 1
            elif len(expected) > len(sink.taken):
                sink.permits.release()
                wait_until(lambda: len(sink.taken) == len(expected))
                if waiting:
                    expected.append(waiting.pop(0))
                    wait_until(lambda: len(background._queue) == len(waiting))
            assert [result.frame.index for result in background._queue] == waiting
            assert len(background._queue) <= capacity
        assert background.dropped == dropped
        for _ in range(written):
            sink.permits.release()
    assert sink.indices == expected + waiting


def test_what_a_sink_does_not_want_takes_no_place() -> None:
    got: list[Event] = []
    with Background(Callback(got.append), capacity=1) as background:
        for index in range(1000):
            background.write(made_result(*([ENTERED] if index == 3 else []), index=index))
        assert background.dropped == 0
    assert got == [ENTERED]


@pytest.mark.parametrize("needs_pixels", [True, False])
def test_pixels_are_kept_for_a_sink_that_looks_at_them_only(needs_pixels: bool) -> None:
    sink = Gate(needs_pixels=needs_pixels)
    sink.permits.release()
    result = made_result(pixels=np.full((4, 5, 3), 7, np.uint8), index=11)
    with Background(sink) as background:
        background.write(result)
    (taken,) = sink.taken
    assert taken.frame.index == 11
    assert taken.prediction == result.prediction
    assert taken.frame.pixels.shape == ((4, 5, 3) if needs_pixels else (0, 0, 3))
    assert result.frame.pixels.shape == (4, 5, 3)


class Flaky(Sink):
    """Fails with the errors that it is given, in turn."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.taken = 0

    def write(self, result: LiveResult) -> bool:
        error = self.errors.pop(0)
        if error is not None:
            raise error
        self.taken += 1
        return True


def test_a_sink_that_fails_goes_on_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    away = OutputError("The broker is away.")
    sink = Flaky(away, away, away, None, None, away)
    with Background(sink) as background:
        for _ in range(6):
            assert background.write(made_result())
    assert (sink.taken, background.failed) == (2, 4)
    assert [record.message for record in caplog.records] == [
        "The broker is away. Continuing; further failures are not logged until it works again.",
        "The sink Flaky works again; results lost so far: 3.",
        "The broker is away. Continuing; further failures are not logged until it works again.",
    ]
    assert all(record.levelno == logging.WARNING and not record.exc_info for record in caplog.records)


def test_a_bug_in_a_callback_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def greet(event: Event) -> None:
        raise KeyError(event.label)

    with Background(Callback(greet)) as background:
        background.write(made_result(ENTERED))
    assert background.failed == 1
    assert "The callback greet failed: KeyError('cat')." in caplog.text
    assert "raise KeyError(event.label)" in caplog.text


def test_a_sink_that_wants_no_more_is_closed_and_said_so() -> None:
    class Enough(Sink):
        closed = False

        def write(self, result: LiveResult) -> bool:
            return False

        def close(self) -> None:
            self.closed = True

    sink = Enough()
    background = Background(sink)
    assert background.write(made_result())
    wait_until(lambda: sink.closed)
    assert not background.write(made_result())
    background.close()


def test_there_must_be_place_for_one() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        Background(Flaky(), capacity=0)
