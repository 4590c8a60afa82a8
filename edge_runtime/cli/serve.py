"""``edge-runtime serve``: web page and HTTP API."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from edge_runtime.cli.options.limits import add_limits, server_limits
from edge_runtime.cli.options.live import (
    add_live,
    add_source,
    capture_rules,
    decision_rules,
    gate_rules,
    open_live_source,
)
from edge_runtime.cli.options.model import add_model, add_prediction, add_watch, open_classifier
from edge_runtime.cli.options.sinks import add_event_sinks, open_event_sinks
from edge_runtime.cli.options.values import add_command, port
from edge_runtime.cli.stopping import hurry, stop_event
from edge_runtime.errors import ServerError

_INSTALL = "pip install 'edge-image-sdk[server]'"


def add(commands: Any) -> None:
    """Add the command."""
    serve = add_command(
        commands,
        "serve",
        "Show live classification on a web page, and classify uploaded pictures",
        _serve,
        examples=(
            "edge-runtime serve model_int8.tflite --source 0",
            "edge-runtime serve model_int8.tflite --source csi --collect photos",
            "EDGE_RUNTIME_TOKEN=a-long-secret edge-runtime serve model_int8.tflite --source none --host 0.0.0.0",
        ),
    )
    add_model(serve)
    add_watch(serve)
    add_source(serve, pace="realtime", more="; none: only classify uploaded pictures")
    serve.add_argument("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all, which needs a token")
    serve.add_argument("--port", type=port, default=8000, help="Port to listen on; 0 picks a free one")
    serve.add_argument(
        "--token",
        help="Token that requests must carry; required unless --host is a local address. Better set the environment "
        "variable EDGE_RUNTIME_TOKEN: other users of the machine can see arguments",
    )
    serve.add_argument(
        "--collect", metavar="PHOTOS", help="Add a button to the page that saves frames by class in this folder"
    )
    add_limits(serve)
    add_prediction(serve)
    add_live(serve)
    add_event_sinks(serve)


def _serve(arguments: argparse.Namespace) -> int:
    from contextlib import ExitStack

    try:
        from edge_runtime.server.protection.guard import check_address
        from edge_runtime.server.protection.memory import free_large_buffers_at_once
        from edge_runtime.server.serve import serve
    except ModuleNotFoundError as missing:
        raise ServerError(f"The web server needs {missing.name}, which is not installed. Run {_INSTALL}") from None
    from edge_runtime.device.systemd_notify import Watchdog
    from edge_runtime.sinks.pictures.collector import Collector

    token = arguments.token or os.environ.get("EDGE_RUNTIME_TOKEN") or None
    check_address(arguments.host, token)  # before a camera is opened
    limits = server_limits(arguments)
    free_large_buffers_at_once()
    with stop_event() as stop, ExitStack() as opened:
        classifier = opened.enter_context(open_classifier(arguments))
        source = predictor = None
        if arguments.source != "none":
            source = opened.enter_context(open_live_source(arguments, loop=True))
            # A classifier of its own for /predict: sharing one would let a busy client halve the live loop's rate. It
            # gets one thread, for the core that the live loop leaves free.
            single = argparse.Namespace(**{**vars(arguments), "num_threads": 1})
            predictor = opened.enter_context(open_classifier(single))
        sinks = [] if source is None else [opened.enter_context(sink) for sink in open_event_sinks(arguments)]
        watchdog = opened.enter_context(Watchdog())

        def ready(address: str) -> None:
            what = "uploaded pictures only" if source is None else source.describe()
            line = f"Serving at {address} ({what}; {classifier.model.path.name}); press Ctrl-C to stop"
            print(line, file=sys.stderr, flush=True)
            watchdog.ready(what)

        serve(
            classifier,
            source,
            host=arguments.host,
            port=arguments.port,
            token=token,
            predictor=predictor,
            options={
                "top_k": arguments.top_k,
                "score_threshold": arguments.score_threshold,
                "region": arguments.region,
                "decision": decision_rules(arguments),
                "gate": gate_rules(arguments),
                "capture": capture_rules(arguments),
                "watch_model": not arguments.keep_model,
            },
            sinks=sinks,
            heartbeat=watchdog.beat,
            collector=Collector(arguments.collect) if arguments.collect else None,
            limits=limits,
            ready=ready,
            stop=stop,
        )
        if stop.is_set():
            hurry(sinks)
    return 0
