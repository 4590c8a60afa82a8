"""``edge-runtime run``: classify the frames of a source."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from edge_runtime.cli.options.live import (
    add_live,
    add_source,
    capture_rules,
    decision_rules,
    gate_rules,
    open_live_source,
)
from edge_runtime.cli.options.model import add_model, add_prediction, add_watch, open_classifier
from edge_runtime.cli.options.sinks import add_sinks, open_sinks
from edge_runtime.cli.options.values import add_command, positive
from edge_runtime.cli.stopping import hurry, stop_event

if TYPE_CHECKING:
    from edge_runtime.types import LiveResult

_COMMON = ("captured", "classified", "dropped")  # already in the summary, or implied by the other counts


def add(commands: Any) -> None:
    """Add the command."""
    run = add_command(
        commands,
        "run",
        "Classify a camera, video or stream, and print results as JSON Lines",
        _run,
        examples=(
            "edge-runtime run model_int8.tflite --source 0",
            "edge-runtime run model_int8.tflite --source csi --size 1280x720 --max-fps 5 --events-only",
            "edge-runtime run model_int8.tflite --source rtsp://camera.local/stream --mqtt mqtt://broker.local/door",
        ),
    )
    add_model(run)
    add_watch(run)
    add_source(run)
    run.add_argument("--max-frames", type=positive, metavar="N", help="Stop after N classified frames")
    add_prediction(run)
    add_live(run)
    add_sinks(run)


def _run(arguments: argparse.Namespace) -> int:
    from contextlib import ExitStack
    from itertools import islice

    from edge_runtime.device.systemd_notify import Watchdog
    from edge_runtime.live_loop.loop import live

    frames, result = 0, None
    with (
        stop_event() as stop,
        open_classifier(arguments) as classifier,
        open_live_source(arguments) as source,
        ExitStack() as opened,
        Watchdog() as watchdog,
    ):
        sinks = [opened.enter_context(sink) for sink in open_sinks(arguments)]
        watchdog.ready(source.describe())
        print(f"{source.describe()}; {classifier.model.path.name}; press Ctrl-C to stop", file=sys.stderr)
        results = live(
            classifier,
            source,
            top_k=arguments.top_k,
            score_threshold=arguments.score_threshold,
            region=arguments.region,
            decision=decision_rules(arguments) if source.continuous else None,
            gate=gate_rules(arguments),
            capture=capture_rules(arguments),
            stop=stop,
            heartbeat=watchdog.beat,
            watch_model=not arguments.keep_model,
        )
        try:
            for result in islice(results, arguments.max_frames):
                frames += 1
                wanted = [sink.write(result) for sink in sinks]  # to all sinks, even if one of them ends the run
                if not all(wanted):
                    break
        finally:
            if stop.is_set():
                hurry(sinks)
            results.close()
    if result is not None:
        print(_summary(frames, result), file=sys.stderr)
    return 0


def _summary(frames: int, result: LiveResult) -> str:
    rare = {name: count for name, count in result.counters.to_dict().items() if count and name not in _COMMON}
    return ", ".join(
        (
            f"{frames} frame{'' if frames == 1 else 's'}",
            f"{result.fps:.1f} FPS at the end",
            f"{result.counters.dropped} dropped",
            *(f"{count} {name}" for name, count in rare.items()),
            f"last result {result.age_ms:.1f} ms after capture",
        )
    )
