"""How a command is asked to end, and that it does."""

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
"""From being asked to end until the process ends in any case."""
HURRY_S = 0.3
"""For a sink to send what waits when the program was asked to end: three that hang are left within `LEAVE_S`."""
_ASKED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """An event that is set when the program is asked to end, by Ctrl-C or SIGTERM; for the main thread.

    Python calls a signal's handler in the main thread alone, which may hang just then: in a driver that opens a camera,
    or in writing to somebody who doesn't read. So a thread of its own hears of the signal. When what is inside of the
    ``with`` hasn't ended after `LEAVE_S`, it says where it hangs and ends the process with 128 and the signal's number,
    the exit status that shells know for that. Results were flushed with each frame, and pictures are written whole.
    """
    stop = threading.Event()
    hearing, telling = socket.socketpair()
    telling.setblocking(False)
    heard = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    # The handlers have nothing to do, but without one a signal would end the process.
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
    """Leaves sinks little time to send what waits: the program was asked to end."""
    for sink in sinks:
        sink.close_timeout_s = min(sink.close_timeout_s, HURRY_S)


def _hear(hearing: socket.socket, stop: threading.Event) -> None:
    number = 0
    while number not in _ASKED:  # other signals with a handler in Python are told too
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
    line = f"edge-runtime: ended {LEAVE_S:g} s after {signal.Signals(number).name} although it hung{_place()}.\n"
    if select.select([], [2], [], 0)[1]:  # whoever should read it may be what hangs
        os.write(2, line.encode())
    os._exit(128 + number)


def _place() -> str:
    """Where the main thread is, in our own files."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    while frame is not None:
        if "edge_runtime" in Path(frame.f_code.co_filename).parts:
            return f" in {frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}, line {frame.f_lineno})"
        frame = frame.f_back
    return ""
