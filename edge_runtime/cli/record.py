"""``edge-runtime record``: record a source, to play it back later."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, get_args

from edge_runtime.cli.options.live import add_source, capture_rules, open_live_source
from edge_runtime.cli.options.values import add_command, positive_float
from edge_runtime.cli.stopping import stop_event
from edge_runtime.sources.recording import PictureFormat, Recorder


def add(commands: Any) -> None:
    """Add the command."""
    record = add_command(
        commands,
        "record",
        "Record a camera or stream, to play it back later with --source FOLDER",
        _record,
        examples=(
            "edge-runtime record --source 0 --to session --seconds 60",
            "edge-runtime record --source rtsp://camera.local/stream --to session --format png",
        ),
    )
    add_source(record)
    record.add_argument("--to", required=True, metavar="FOLDER", help="New or empty folder for the recording")
    record.add_argument("--seconds", type=positive_float, metavar="N", help="Stop after N seconds (default: at Ctrl-C)")
    record.add_argument(
        "--format",
        choices=get_args(PictureFormat),
        default="jpg",
        help="Picture format: jpg is smaller, png is lossless",
    )


def _record(arguments: argparse.Namespace) -> int:
    from contextlib import closing

    from edge_runtime.live_loop.capture import CaptureThread

    limit_s = arguments.seconds or float("inf")
    with stop_event() as stop, open_live_source(arguments) as source:
        description, is_live = source.describe(), source.live

        def tick() -> None:  # a camera that is away delivers no frames, so its seconds are the clock's
            if is_live and time.monotonic() - began >= limit_s:
                stop.set()

        with Recorder(arguments.to, picture_format=arguments.format, origin=description) as recorder:
            print(f"{description}; press Ctrl-C to stop", file=sys.stderr)
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
        f"Recorded {recorder.count} frames ({length_s:.1f} s) in {arguments.to}: {counters.dropped} dropped, "
        f"{counters.repeated} repeated, {counters.malformed} malformed, {counters.reconnects} reconnects",
        file=sys.stderr,
    )
    return 0
