"""Stopping a command by Ctrl-C or SIGTERM, even if it hangs."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.sinks import Sink

LEAVE_S = 1.5
"""Seconds from the signal until the process is ended in any case."""
HURRY_S = 0.3
"""Seconds that a sink gets to send what is queued after the signal: three hanging sinks fit into `LEAVE_S`."""
_ASKED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; for the main thread.

    Python runs signal handlers only in the main thread, which may hang: in a driver that opens a camera, or in writing
    to a pipe that nobody reads. A separate thread therefore receives the signal. If the body of the ``with`` statement
    has not ended after `LEAVE_S`, that thread prints where it hangs and ends the process with 128 plus the signal's
    number, as shells do. No output is lost: results are flushed after each frame, and pictures are written whole.
    """
    stop = threading.Event()
    hearing, telling = socket.socketpair()
    telling.setblocking(False)
    heard = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    # The handlers do nothing, but without them a signal would end the process.
    handlers = {number: signal.signal(number, lambda *_: None) for number in _ASKED}
    thread = threading.Thread(target=_hear, args=(hearing, stop), name="edge-stop", daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(heard)
        telling.close()
        thread.join()
        hearing.close()


def hurry(sinks: Sequence[Sink]) -> None:
    """Shorten the time that sinks get to send what is queued, after a signal."""
    for sink in sinks:
        sink.close_timeout_s = min(sink.close_timeout_s, HURRY_S)


def _hear(hearing: socket.socket, stop: threading.Event) -> None:
    number = 0
    while number not in _ASKED:  # other signals that Python handles arrive here too
        told = hearing.recv(1)
        if not told:
            return
        number = told[0]
    stop.set()
    deadline = time.monotonic() + LEAVE_S
    while (left_s := deadline - time.monotonic()) > 0:
        hearing.settimeout(left_s)
        try:
            if not hearing.recv(1):
                return
        except TimeoutError:
            break
    _leave(number)


def _leave(number: int) -> None:
    line = f"edge-runtime: forced to exit {LEAVE_S:g} s after {signal.Signals(number).name}: it hung{_place()}.\n"
    if select.select([], [2], [], 0)[1]:  # writing would hang if nobody reads stderr
        os.write(2, line.encode())
    os._exit(128 + number)


def _place() -> str:
    """Return the place in this package where the main thread is."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    while frame is not None:
        if "edge_runtime" in Path(frame.f_code.co_filename).parts:
            return f" in {frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}, line {frame.f_lineno})"
        frame = frame.f_back
    return ""
