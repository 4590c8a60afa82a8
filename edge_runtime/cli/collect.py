"""``edge-runtime collect``: collect training pictures of one class."""

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
    """Add the command."""
    collect = add_command(
        commands,
        "collect",
        "Collect training pictures of one class from a camera, without near-duplicates",
        _collect,
        examples=(
            "edge-runtime collect --to photos --label bottle --source 0",
            "edge-runtime collect --to photos --label empty --source csi --interval 1 --count 200",
        ),
        notes="Repeat it for each class, then train with 'edge-trainer train PHOTOS'.",
        aliases=("capture",),
    )
    collect.add_argument("--to", required=True, metavar="PHOTOS", help="Folder with one subfolder per class")
    collect.add_argument("--label", required=True, metavar="NAME", help="Class in the pictures")
    add_source(collect, pace="realtime")
    collect.add_argument("--interval", type=positive_float, default=0.25, metavar="S", help="Seconds between pictures")
    collect.add_argument("--count", type=positive, metavar="N", help="Stop after N saved pictures")


def _collect(arguments: argparse.Namespace) -> int:
    from edge_runtime.live_loop.capture import CaptureThread
    from edge_runtime.sinks.pictures.collector import Collector, check_label

    check_label(arguments.label)
    collector = Collector(arguments.to)
    saved = duplicates = 0
    due = float("-inf")
    with stop_event() as stop, open_live_source(arguments) as source, _keys() as keys:
        how = "press space to start or pause, q to stop" if keys.there else "press Ctrl-C to stop"
        print(f"{source.describe()}; collecting {arguments.label} in {arguments.to}; {how}", file=sys.stderr)
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
                keys.say(f"{saved} saved, {duplicates} near-duplicates skipped")
        finally:
            thread.close()
    there = sum(count.pictures for count in collector.counts() if count.label == arguments.label)
    print(f"{arguments.label}: {saved} saved, {duplicates} near-duplicates skipped, {there} pictures in total")
    return 0


class _Keys:
    """Keys pressed while pictures are collected. Without a terminal there are none, and collecting never pauses."""

    def __init__(self, *, there: bool) -> None:
        self.there = there
        self.paused = there  # gives the user time to position the object
        self._said = ""

    def ended(self) -> bool:
        """Handle the keys pressed so far; True if one of them ends the program."""
        from select import select

        while self.there and select([sys.stdin], [], [], 0)[0]:
            key = os.read(sys.stdin.fileno(), 1)  # not through Python's buffer, which select cannot see
            if key in (b"", b"q", b"Q"):
                return True
            if key == b" ":
                self.paused = not self.paused
                self.say(f"paused; {self._said}" if self.paused else self._said)
        return False

    def say(self, line: str) -> None:
        """Replace the status line, if there is a terminal."""
        if not self.paused:
            self._said = line
        if self.there:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


@contextmanager
def _keys() -> Iterator[_Keys]:
    """Read single keys without Enter if stdin and stderr are a terminal; restore its settings at the end."""
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
