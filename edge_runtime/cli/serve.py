"""``edge-runtime serve``: a page to look at, and an API."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from edge_runtime.cli.options.live import (
    add_live,
    add_source,
    capture_rules,
    decision_rules,
    gate_rules,
    open_live_source,
)
from edge_runtime.cli.options.model import add_answer, add_model, add_watch, open_classifier
from edge_runtime.cli.options.sinks import add_event_sinks, open_event_sinks
from edge_runtime.cli.options.values import add_command, positive, positive_float
from edge_runtime.cli.stopping import hurry, stop_event
from edge_runtime.errors import ServerError

_INSTALL = "pip install 'edge-image-sdk[server]'"


def add(commands: Any) -> None:
    """Adds the command."""
    serve = add_command(
        commands, "serve", "show the live loop on a web page, and classify pictures that are sent", _serve
    )
    add_model(serve)
    add_watch(serve)
    add_source(serve, pace="realtime", more=", or none: classify only what is sent")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--token",
        help="that requests must carry; an address that others can reach needs one. Better in EDGE_RUNTIME_TOKEN, "
        "because other users of the machine see arguments",
    )
    serve.add_argument("--collect", metavar="PHOTOS", help="offer to save frames by class into this folder")
    _add_limits(serve)
    add_answer(serve)
    add_live(serve)
    add_event_sinks(serve)


def _serve(arguments: argparse.Namespace) -> int:
    from contextlib import ExitStack

    try:
        from edge_runtime.server.protection.guard import check_address
        from edge_runtime.server.protection.limits import Limits
        from edge_runtime.server.protection.memory import free_large_buffers_at_once
        from edge_runtime.server.serve import serve
    except ModuleNotFoundError as missing:
        raise ServerError(f"Expected the web server's packages, {missing.name} is missing: {_INSTALL}") from None
    from edge_runtime.device.systemd_notify import Watchdog
    from edge_runtime.sinks.pictures.collector import Collector

    token = arguments.token or os.environ.get("EDGE_RUNTIME_TOKEN") or None
    check_address(arguments.host, token)  # before a camera is opened
    limits = Limits(
        max_bytes=arguments.max_mib * 1024**2,
        max_pixels=arguments.max_megapixels * 1_000_000,
        max_uploads=arguments.max_uploads,
        max_viewers=arguments.max_viewers,
        max_connections=arguments.max_connections,
        max_client_connections=arguments.max_client_connections,
        max_rate=arguments.max_rate,
        header_timeout_s=arguments.header_timeout,
        body_timeout_s=arguments.body_timeout,
        send_timeout_s=arguments.send_timeout,
    )
    free_large_buffers_at_once()
    with stop_event() as stop, ExitStack() as opened:
        classifier = opened.enter_context(open_classifier(arguments))
        source = predictor = None
        if arguments.source != "none":
            source = opened.enter_context(open_live_source(arguments, loop=True))
            # Another one for /predict, or a busy client would halve the live loop's rate: they would take turns. One
            # thread, for the core that the live loop leaves free.
            single = argparse.Namespace(**{**vars(arguments), "num_threads": 1})
            predictor = opened.enter_context(open_classifier(single))
        sinks = [] if source is None else [opened.enter_context(sink) for sink in open_event_sinks(arguments)]
        watchdog = opened.enter_context(Watchdog())

        def ready(address: str) -> None:
            what = "pictures that are sent" if source is None else source.describe()
            print(f"{address} shows {what}; {classifier.model.path.name}; Ctrl-C stops", file=sys.stderr, flush=True)
            watchdog.ready(what)

        serve(
            classifier,
            source,
            host=arguments.host,
            port=arguments.port,
            token=token,
            predictor=predictor,
            top_k=arguments.top_k,
            score_threshold=arguments.score_threshold,
            region=arguments.region,
            decision=decision_rules(arguments),
            gate=gate_rules(arguments),
            capture=capture_rules(arguments),
            sinks=sinks,
            heartbeat=watchdog.beat,
            collector=Collector(arguments.collect) if arguments.collect else None,
            limits=limits,
            ready=ready,
            watch_model=not arguments.keep_model,
            stop=stop,
        )
        if stop.is_set():
            hurry(sinks)
    return 0


def _add_limits(serve: argparse.ArgumentParser) -> None:
    group = serve.add_argument_group(
        "what is refused",
        "A client is an IPv4 address or an IPv6 network of 64 bits: all behind a proxy are one.",
    )

    def add(name: str, default: int, about: str, *, kind: Any = positive, metavar: str = "N") -> None:
        group.add_argument(name, type=kind, default=default, metavar=metavar, help=f"{about} (default: %(default)s)")

    add("--max-mib", 8, "size of a picture")
    add("--max-megapixels", 40, "of a picture")
    add("--max-uploads", 16, "pictures sent in at a time; one client may have half of them")
    add("--max-viewers", 64, "streams at a time; a page takes two")
    add("--max-connections", 256, "at a time")
    add("--max-client-connections", 32, "of one client at a time")
    add("--max-rate", 100, "requests a second of one client; twice as many may come at once", kind=positive_float)
    add("--header-timeout", 10, "for a request's head to come in", kind=positive_float, metavar="S")
    add("--body-timeout", 60, "for a request's body to come in", kind=positive_float, metavar="S")
    add("--send-timeout", 30, "for a client to take what is sent to it", kind=positive_float, metavar="S")


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text}")
    return value
