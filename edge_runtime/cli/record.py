"""``edge-runtime record``: keeps what a source delivers, to play it again."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from edge_runtime.cli.options.live import add_source, capture_rules, open_live_source
from edge_runtime.cli.options.values import add_command, positive_float
from edge_runtime.cli.stopping import stop_event


def add(commands: Any) -> None:
    """Adds the command."""
    record = add_command(commands, "record", "record a camera or stream, to play it again as a source", _record)
    add_source(record)
    record.add_argument("--to", required=True, metavar="FOLDER", help="a new folder; it is a source for 'run' then")
    record.add_argument("--seconds", type=positive_float, metavar="N", help="stop after N seconds")
    record.add_argument(
        "--format",
        choices=("jpg", "png"),
        default="jpg",
        help="jpg is smaller, png keeps every pixel as it is (default: %(default)s)",
    )


def _record(arguments: argparse.Namespace) -> int:
    from contextlib import closing

    from edge_runtime.live_loop.capture import CaptureThread
    from edge_runtime.sources.recording import Recorder

    limit_s = arguments.seconds or float("inf")
    with stop_event() as stop, open_live_source(arguments) as source:
        description, is_live = source.describe(), source.live

        def tick() -> None:  # a camera that is away counts too: its seconds are the clock's
            if is_live and time.monotonic() - began >= limit_s:
                stop.set()

        with Recorder(arguments.to, picture_format=arguments.format, origin=description) as recorder:
            print(f"{description}; Ctrl-C stops", file=sys.stderr)
            began = time.monotonic()
            with closing(CaptureThread(source, stop, capture_rules(arguments))) as capture:
                first_at = last_at = None
                while (frame := capture.take(tick)) is not None:
                    first_at = frame.at if first_at is None else first_at
                    if frame.at - first_at >= limit_s:
                        break
                    recorder.write(frame)
                    last_at = frame.at
                counters = capture.counters(classified=recorder.count, skipped=0)
    length_s = last_at - first_at if last_at is not None and first_at is not None else 0.0
    print(
        f"{recorder.count} pictures over {length_s:.1f} s in {arguments.to}, {counters.dropped} dropped, "
        f"{counters.repeated} repeated, {counters.malformed} malformed, {counters.reconnects} times reopened",
        file=sys.stderr,
    )
    return 0
