"""``edge-runtime capture``: collects pictures of one class for the next training."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge_runtime.cli.options.live import add_source, capture_rules, open_live_source
from edge_runtime.cli.options.values import add_command, positive, positive_float
from edge_runtime.cli.stopping import stop_event


def add(commands: Any) -> None:
    """Adds the command."""
    capture = add_command(
        commands, "capture", "collect pictures of one class, as edge-trainer train takes them", _capture
    )
    capture.add_argument("--to", required=True, metavar="PHOTOS", help="folder with a folder for each class")
    capture.add_argument("--label", required=True, metavar="NAME", help="class that the pictures show")
    add_source(capture, pace="realtime")
    capture.add_argument(
        "--interval",
        type=positive_float,
        default=0.25,
        metavar="S",
        help="seconds from one picture to the next (default: %(default)s)",
    )
    capture.add_argument("--count", type=positive, metavar="N", help="stop after N saved pictures")


def _capture(arguments: argparse.Namespace) -> int:
    from edge_runtime.live_loop.capture import CaptureThread
    from edge_runtime.sinks.pictures.collector import Collector, check_label

    check_label(arguments.label)
    collector = Collector(arguments.to)
    saved = duplicates = 0
    due = float("-inf")
    with stop_event() as stop, open_live_source(arguments) as source, _keys() as keys:
        how = "space collects and pauses, q ends" if keys.there else "Ctrl-C ends"
        print(f"{source.describe()}; {arguments.label} into {arguments.to}; {how}", file=sys.stderr)
        thread = CaptureThread(source, stop, capture_rules(arguments))
        try:
            while saved != arguments.count and (frame := thread.take()) is not None:
                if keys.ended():
                    break
                if keys.paused or frame.captured_at < due:
                    continue
                due = frame.captured_at + arguments.interval
                if collector.add(arguments.label, frame.pixels) is None:
                    duplicates += 1
                else:
                    saved += 1
                keys.say(f"{saved} saved, {duplicates} near-duplicates left out")
        finally:
            thread.close()
    there = sum(count.pictures for count in collector.counts() if count.label == arguments.label)
    print(f"{arguments.label}: {saved} saved, {duplicates} near-duplicates left out, {there} pictures in all")
    return 0


class _Keys:
    """What is typed while pictures are taken. Where nobody can type, nothing ever pauses."""

    def __init__(self, *, there: bool) -> None:
        self.there = there
        self.paused = there  # what is to be seen has to be held up first
        self._said = ""

    def ended(self) -> bool:
        """Reads what was typed; whether it was an end."""
        from select import select

        while self.there and select([sys.stdin], [], [], 0)[0]:
            key = os.read(sys.stdin.fileno(), 1)  # past Python's buffer, of which select knows nothing
            if key in (b"", b"q", b"Q"):
                return True
            if key == b" ":
                self.paused = not self.paused
                self.say(f"paused; {self._said}" if self.paused else self._said)
        return False

    def say(self, line: str) -> None:
        """Shows one line over the one before, for people only."""
        if not self.paused:
            self._said = line
        if self.there:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


@contextmanager
def _keys() -> Iterator[_Keys]:
    """Lets single keys through where stdin and stderr are a terminal, until the end."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        yield _Keys(there=False)
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _Keys(there=True)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(file=sys.stderr)
