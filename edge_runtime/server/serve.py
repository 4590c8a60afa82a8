"""Runs the live loop in a thread and the web server in the main thread until both are stopped."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

import uvicorn

from edge_runtime.errors import ServerError
from edge_runtime.live_loop.decision import DecisionRules
from edge_runtime.live_loop.hot_swap import ModelWatch
from edge_runtime.live_loop.loop import live
from edge_runtime.server.app import create_app
from edge_runtime.server.hub import Hub
from edge_runtime.server.protection.connection import Connection
from edge_runtime.server.protection.guard import check_address
from edge_runtime.server.protection.limits import Limits
from edge_runtime.server.protection.traffic import Traffic
from edge_runtime.sources.opencv import quiet_opencv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.live_loop.capture import CaptureRules
    from edge_runtime.live_loop.frame_gate import GateRules
    from edge_runtime.sinks import Sink
    from edge_runtime.sinks.pictures.collector import Collector
    from edge_runtime.sources.base import Source
    from edge_runtime.types import Region

# Kernel send buffer per connection. The default would hold megabytes for each client that does not read, and the
# pictures in it would be old when they are seen.
_SEND_BUFFER_BYTES = 128 * 1024
_GOODBYE_S = 1  # time for requests in progress when the server stops
_JOIN_S = 1.0


class LiveOptions(TypedDict, total=False):
    """Keyword arguments for `edge_runtime.live` that pass through `serve` unchanged; see there."""

    top_k: int
    score_threshold: float
    region: Region | None
    decision: DecisionRules
    gate: GateRules | None
    capture: CaptureRules | None
    watch_model: bool


def serve(
    classifier: Classifier,
    source: Source | None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    predictor: Classifier | None = None,
    options: LiveOptions | None = None,
    sinks: Sequence[Sink] = (),
    heartbeat: Callable[[], None] | None = None,
    collector: Collector | None = None,
    limits: Limits | None = None,
    ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or ``stop``; call this in the main thread.

    Args:
        classifier: Classifier of the live loop.
        source: Source of the live loop; None to serve only ``/predict``.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        token: Token that requests must carry, required for an address that other machines can reach.
        predictor: Classifier for ``/predict``; default: ``classifier``, in turns with the live loop.
        options: Arguments for the live loop, by default with ``decision=DecisionRules()``. ``watch_model`` also
            applies to ``predictor``.
        sinks: Additional sinks for the results; the caller closes them.
        heartbeat: Called by the live loop, or by the web server if there is no source.
        collector: Collector of training pictures.
        limits: Limits of the server; default: ``Limits()``.
        ready: Called with the page's address as soon as the server accepts connections.
        stop: Event that stops the server, even if already set at the start.

    Raises:
        ServerError: The address is not available, or needs a token.
        SourceError: The source failed permanently.
    """
    check_address(host, token)
    listener = _listen(host, port)
    live_options: LiveOptions = {"decision": DecisionRules(), **(options or {})}
    region, capture = live_options.get("region"), live_options.get("capture")
    away_after_s = 2.0 if capture is None else max(2.0, capture.stall_timeout_s)
    hub = None if source is None else Hub(away_after_s=away_after_s)
    limits, traffic = limits or Limits(), Traffic()
    app = create_app(
        predictor or classifier,
        hub,
        token=token,
        source="" if source is None else source.describe(),
        region=region,
        collector=collector,
        limits=limits,
        traffic=traffic,
    )
    stop = threading.Event() if stop is None else stop
    protocol = partial(Connection, limits, traffic)
    server = _Server(app, hub, protocol, stop, heartbeat if source is None else None)
    failures: list[BaseException] = []

    def loop(source: Source, hub: Hub) -> None:
        try:
            for result in live(classifier, source, **live_options, stop=stop, on_frame=hub.show, heartbeat=heartbeat):
                hub.tell(result)
                for sink in sinks:
                    sink.write(result)
            hub.end()
        except BaseException as failure:  # the main thread raises it
            failures.append(failure)
            server.leave()

    # These handlers count until uvicorn has installed its own. When it has shut down, it restores them and raises the
    # signal again, so that the cleanup below still runs.
    found = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = watch = None
    try:
        answers = classifier if source is None else predictor  # the live loop watches its own model
        if live_options.get("watch_model") and answers is not None:
            watch = ModelWatch(answers, at_once=True)
        # Clients' damaged forms get a response and must not fill the log.
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        with listener, quiet_opencv():
            if source is not None and hub is not None:
                thread = threading.Thread(target=loop, args=(source, hub), name="edge-live", daemon=True)
                thread.start()
            if ready is not None:
                ready(_address(host, listener.getsockname()[1]))
            server.run([listener])
    finally:
        stop.set()
        if watch is not None:
            watch.close()
        if thread is not None:
            thread.join(_JOIN_S)
        for number, handler in found.items():
            signal.signal(number, handler)
    if failures:
        raise failures[0]


class _Server(uvicorn.Server):
    """uvicorn server that ends its streams when it stops, and slow connections when their time is up."""

    def __init__(
        self, app: Any, hub: Hub | None, protocol: Any, stop: threading.Event, heartbeat: Callable[[], None] | None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="error",  # clients cause the warnings and could fill the log
                access_log=False,  # URLs may contain the token
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                http=protocol,
                loop="asyncio",
                timeout_graceful_shutdown=_GOODBYE_S,
            )
        )
        self._hub = hub
        self._stop = stop
        self._heartbeat = heartbeat

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times per second."""
        if self._heartbeat is not None:
            self._heartbeat()
        if self._stop.is_set():
            self.leave()
        if counter % 10 == 0:
            for connection in tuple(self.server_state.connections):
                assert isinstance(connection, Connection)
                connection.end_if_late()
        return await super().on_tick(counter)

    def leave(self) -> None:
        """Stop the server soon. May be called from any thread."""
        self.should_exit = True
        if self._hub is not None:
            self._hub.close()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Called by uvicorn for SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        self.leave()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"Cannot listen on {host}, port {port}: {reason}. Choose another --port or --host."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return listener


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
