"""``edge-runtime run``: classifies what a source delivers."""

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
from edge_runtime.cli.options.model import add_answer, add_model, add_watch, open_classifier
from edge_runtime.cli.options.sinks import add_sinks, open_sinks
from edge_runtime.cli.options.values import add_command, positive
from edge_runtime.cli.stopping import hurry, stop_event

if TYPE_CHECKING:
    from edge_runtime.types import LiveResult

_COMMON = ("captured", "classified", "dropped")  # what a summary says, or what follows from the rest


def add(commands: Any) -> None:
    """Adds the command."""
    run = add_command(commands, "run", "classify a camera, video or stream; JSON Lines on stdout", _run)
    add_model(run)
    add_watch(run)
    add_source(run)
    run.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    add_answer(run)
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
        print(f"{source.describe()}; {classifier.model.path.name}; Ctrl-C stops", file=sys.stderr)
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
                wanted = [sink.write(result) for sink in sinks]  # by all of them, before any of them ends it
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
            f"{frames} frames",
            f"{result.fps:.1f} per second at the end",
            f"{result.counters.dropped} dropped",
            *(f"{count} {name}" for name, count in rare.items()),
            f"age of the last {result.age_ms:.1f} ms",
        )
    )
