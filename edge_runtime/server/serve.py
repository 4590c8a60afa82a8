"""Runs the live loop in a thread and the web server in the main one, until both are told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

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

# Of one connection, in the kernel. On its own it would keep megabytes for each client that doesn't read: memory, and
# pictures that are old when they are seen.
_SEND_BUFFER_BYTES = 128 * 1024
_GOODBYE_S = 1  # for requests under way when the server is told to stop
_JOIN_S = 1.0


def serve(
    classifier: Classifier,
    source: Source | None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    predictor: Classifier | None = None,
    top_k: int = 5,
    score_threshold: float = 0.0,
    region: Region | None = None,
    decision: DecisionRules | None = None,
    gate: GateRules | None = None,
    capture: CaptureRules | None = None,
    sinks: Sequence[Sink] = (),
    heartbeat: Callable[[], None] | None = None,
    collector: Collector | None = None,
    limits: Limits | None = None,
    ready: Callable[[str], None] | None = None,
    watch_model: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Serves until SIGINT, SIGTERM or ``stop``; call it in the main thread.

    Args:
        classifier: Of the live loop.
        source: What it looks at; None serves ``/predict`` alone.
        host: Address to listen on.
        port: 0 takes a free one.
        token: That requests must carry; an address that others can reach needs one.
        predictor: Answers ``/predict``; None is ``classifier``, for which it takes turns with the live loop then.
        top_k: See `edge_runtime.live_loop.loop.live`, as for the rest down to ``capture``.
        score_threshold: See there.
        region: See there.
        decision: See there; None is `DecisionRules()`.
        gate: See there.
        capture: See there.
        sinks: Take the results too. They are the caller's to close.
        heartbeat: See `edge_runtime.live_loop.loop.live`; without a source it is called by the web server.
        collector: Takes frames for training.
        limits: What is refused; None is `Limits()`.
        ready: Called with the page's address, as soon as it answers.
        watch_model: Whether a model that replaces the file of one of the classifiers takes over.
        stop: Ends it when it is set, also when it was before.

    Raises:
        ServerError: The address can't be had, or would be open to everybody.
        SourceError: The source failed for good.
    """
    check_address(host, token)
    listener = _listen(host, port)
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
            for result in live(
                classifier,
                source,
                top_k=top_k,
                score_threshold=score_threshold,
                region=region,
                decision=decision or DecisionRules(),
                gate=gate,
                capture=capture,
                stop=stop,
                on_frame=hub.show,
                heartbeat=heartbeat,
                watch_model=watch_model,
            ):
                hub.tell(result)
                for sink in sinks:
                    sink.write(result)
            hub.end()
        except BaseException as failure:  # whatever it is belongs to the main thread
            failures.append(failure)
            server.leave()

    # uvicorn gives back the handlers that it found and raises the signal once more when it has shut down: what is left
    # to do then is ours.
    # They count until it has its own, too.
    found = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = watch = None
    try:
        answers = classifier if source is None else predictor  # the live loop watches its own
        if watch_model and answers is not None:
            watch = ModelWatch(answers, at_once=True)
        # Strangers' damaged pictures and forms are answered, and needn't fill the log.
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
    """A server whose streams end when it is told to stop, and whose connections end when they are late."""

    def __init__(
        self, app: Any, hub: Hub | None, protocol: Any, stop: threading.Event, heartbeat: Callable[[], None] | None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="error",  # warnings are of clients, who could fill the log
                access_log=False,  # addresses may hold the token
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
        """Is called ten times a second."""
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
        """Ends the server soon. Any thread may call it."""
        self.should_exit = True
        if self._hub is not None:
            self._hub.close()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Is called for SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        self.leave()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(
            f"Expected to listen on {host}, port {port}, got: {reason}. Choose another --port or --host."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return listener


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
