"""``edge-runtime run``: classifies what a source delivers."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import Any

from edge_runtime.commands.live_options import (
    add_live,
    add_source,
    capture_rules,
    decision_rules,
    gate_rules,
    open_live_source,
)
from edge_runtime.commands.model_options import add_answer, add_model, open_classifier
from edge_runtime.commands.options import add_command, positive


def add(commands: Any) -> None:
    """Adds the command."""
    run = add_command(commands, "run", "classify a camera, video or stream; JSON Lines on stdout", _run)
    add_model(run)
    add_source(run)
    run.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    run.add_argument("--to", metavar="FILE", help="write the JSON Lines into FILE instead of stdout")
    add_answer(run)
    add_live(run)


def _run(arguments: argparse.Namespace) -> int:
    from itertools import islice

    from edge_runtime.sinks import JsonLines
    from edge_runtime.stream import live

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    frames, result = 0, None
    with (
        open_classifier(arguments) as classifier,
        open_live_source(arguments) as source,
        JsonLines(arguments.to) as sink,
    ):
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
        )
        try:
            for result in islice(results, arguments.max_frames):
                if not sink.write(result):
                    break
                frames += 1
        finally:
            results.close()
    if result is not None:
        print(
            f"{frames} frames, {result.fps:.1f} per second at the end, {result.counters.dropped} dropped, "
            f"age of the last {result.age_ms:.1f} ms",
            file=sys.stderr,
        )
    return 0
