"""The web application: its addresses and what they answer."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from edge_runtime.errors import OutputError
from edge_runtime.server.hub import message
from edge_runtime.server.metrics import CONTENT_TYPE, render_metrics
from edge_runtime.server.protection.guard import Guard, Places, WatchResponse, client_in
from edge_runtime.server.protection.limits import Limits
from edge_runtime.server.protection.traffic import Traffic, refusal
from edge_runtime.server.schemas import ClassCounts, CollectAnswer, CollectRequest, Detail, Health, PredictAnswer
from edge_runtime.server.uploads import decode_picture
from edge_runtime.sinks.pictures.collector import check_label
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.server.hub import Hub
    from edge_runtime.sinks.pictures.collector import Collector
    from edge_runtime.types import Region

_PAGE = Path(__file__).with_name("page")
_PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/docs.js": ("docs.js", "text/javascript"),
}
_EVENTS = "text/event-stream"
_MOTION_JPEG = "multipart/x-mixed-replace"
_BOUNDARY = "frame"
_LOOK_S = 5.0  # how often a stream that has nothing to send looks whether somebody is still there
# Any address may answer so; what one answers besides stands there.
_REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Detail, "description": "Refused, and `detail` says why"},
    429: {"model": Detail, "description": "Too many requests a second"},
    503: {"model": Detail, "description": "Too many connections"},
}


@dataclass
class Predictions:
    """How ``/predict`` has done so far."""

    answers: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    under_way: Counter[str] = field(default_factory=Counter)  # by client


def create_app(
    classifier: Classifier,
    hub: Hub | None = None,
    *,
    token: str | None = None,
    source: str = "",
    region: Region | None = None,
    collector: Collector | None = None,
    limits: Limits | None = None,
    traffic: Traffic | None = None,
) -> Guard:
    """The application, for uvicorn or any other ASGI server.

    Args:
        classifier: For ``/predict``. Where it is the live loop's too, the two take turns.
        hub: Of the live loop; None has only ``/predict``.
        token: That requests must carry; None serves this machine's own address only.
        source: Description of the live loop's source.
        region: That the live loop looks at; the page draws it.
        collector: Takes frames for training; None doesn't offer it.
        limits: What is refused; None is `Limits()`. Those of connections, of heads and of sending are for
            `edge_runtime.server.serve.serve` to hold.
        traffic: Counts what is refused, for ``/metrics``.
    """
    limits, traffic = limits or Limits(), traffic or Traffic()
    app = FastAPI(
        title="edge-runtime",
        version=__version__,
        description="Live image classification. With a token, send it as `Authorization: Bearer TOKEN` or `?token=`.",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to whatever host the request names
        responses=_REFUSALS,
    )
    places, predictions = Places(limits.max_viewers), Predictions()
    info = {
        "version": __version__,
        "source": None if hub is None else source,
        "region": None if region is None else [region.left, region.top, region.width, region.height],
        "collects": hub is not None and collector is not None,
    }
    _add_refusals(app)
    _add_page(app)
    _add_state(app, classifier, hub, info, places, predictions, traffic)
    _add_predict(app, classifier, limits, predictions)
    if hub is not None:
        _add_live(app, hub, places)
        if collector is not None:
            _add_collect(app, hub, collector)
    public, uploads = frozenset(_PAGE_FILES), frozenset({"/predict"})
    return Guard(app, token=token, public=public, uploads=uploads, limits=limits, traffic=traffic)


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which may hold what JSON can't.
        problems = "; ".join(f"{' '.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        return refusal(422, f"Expected what /docs tells, got {problems}.")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return refusal(500, "The server has failed, and its log says why.")


def _add_page(app: FastAPI) -> None:
    def add(path: str, content: bytes, kind: str) -> None:
        @app.get(path, include_in_schema=False)
        async def file() -> Response:
            return Response(content, media_type=kind)

    for path, (name, kind) in _PAGE_FILES.items():
        add(path, (_PAGE / name).read_bytes(), kind)


def _add_state(
    app: FastAPI,
    classifier: Classifier,
    hub: Hub | None,
    info: dict[str, Any],
    places: Places,
    predictions: Predictions,
    traffic: Traffic,
) -> None:
    @app.get("/info", summary="What is served: model, labels, source")
    async def get_info() -> dict[str, Any]:
        # Anew each time: the model may be replaced.
        return {**info, "model": classifier.model.path.name, "labels": list(classifier.labels)}

    @app.get(
        "/healthz",
        summary="Whether frames come",
        response_model=Health,
        responses={
            200: {"description": "They do, or there is no source"},
            503: {"model": Health | Detail, "description": "The camera is away, or too many connections"},
        },
    )
    async def healthz() -> JSONResponse:
        state = "no source" if hub is None else hub.state
        return JSONResponse({"state": state}, 200 if state in ("live", "no source") else 503)

    @app.get(
        "/metrics",
        summary="Figures, as Prometheus reads them",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        text = render_metrics(
            hub, answers=predictions.answers, predict_s=predictions.seconds, viewers=places.taken, traffic=traffic
        )
        return Response(text, media_type=CONTENT_TYPE)


def _add_predict(app: FastAPI, classifier: Classifier, limits: Limits, predictions: Predictions) -> None:
    # One more than can be classified at a time: while one picture is in the network, the next ones are decoded.
    workers = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="edge-predict")

    def answer(data: bytes, top_k: int, score_threshold: float) -> dict[str, Any]:
        start = perf_counter()
        pixels = decode_picture(data, max_pixels=limits.max_pixels)
        decoded = perf_counter()
        prediction = classifier.classify(pixels, top_k=top_k, score_threshold=score_threshold)
        height, width = pixels.shape[:2]
        size = {"height": height, "width": width, "decode_ms": (decoded - start) * 1000}
        return {**prediction.to_dict(), **size}

    async def answered(request: Request, top_k: int, score_threshold: float) -> dict[str, Any]:
        client, most = client_in(request.scope), limits.max_uploads
        if predictions.under_way.total() >= most or predictions.under_way[client] >= ceil(most / 2):
            detail = f"Expected at most {most} pictures at a time, half of them of one client."
            raise HTTPException(503, detail, {"retry-after": "1"})
        predictions.under_way[client] += 1
        try:
            data = await _sent_picture(request)
            if len(data) > limits.max_bytes:
                raise HTTPException(413, f"Expected at most {limits.max_bytes:,} bytes, got {len(data):,}.")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(workers, answer, data, top_k, score_threshold)
        finally:
            predictions.under_way -= Counter([client])

    @app.post(
        "/predict",
        summary="Classifies a picture",
        description="JPEG, PNG, WebP or BMP: as the request's body, or as the field `file` of a form.",
        response_model=PredictAnswer,
        responses={
            400: {"model": Detail, "description": "No picture was sent"},
            408: {"model": Detail, "description": "It came in too slowly"},
            413: {"model": Detail, "description": f"Over {limits.max_bytes:,} bytes or {limits.max_pixels:,} pixels"},
            415: {"model": Detail, "description": "No JPEG, PNG, WebP or BMP"},
            422: {"model": Detail, "description": "It is damaged, or a parameter is wrong"},
            503: {"model": Detail, "description": "Too many at a time"},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "image/*": {"schema": {"type": "string", "format": "binary"}},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {"file": {"type": "string", "format": "binary"}},
                        }
                    },
                },
            }
        },
    )
    async def predict(
        request: Request,
        top_k: Annotated[int, Query(ge=1, le=1000)] = 5,
        score_threshold: Annotated[float, Query(ge=0, le=1)] = 0.0,
    ) -> JSONResponse:
        start, status = perf_counter(), 500
        try:
            content = await answered(request, top_k, score_threshold)
            status = 200
            return JSONResponse(content)
        except HTTPException as refusal:
            status = refusal.status_code
            raise
        except ClientDisconnect:
            status = 499  # as nginx counts those who didn't wait; nobody hears the answer
            return JSONResponse({"detail": "The client has gone."}, 400)
        finally:
            predictions.answers[status] += 1
            predictions.seconds += perf_counter() - start


async def _sent_picture(request: Request) -> bytes:
    """The picture's file, out of a form or as the body."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=10) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise HTTPException(400, "Expected the picture as the form's field 'file', there is none.")
                data = await file.read()
        except FormParserError as error:  # newer Starlettes answer 400 themselves
            raise HTTPException(400, f"Expected a form, got: {error}.") from None
    else:
        data = await request.body()
    if not data:
        raise HTTPException(400, "Expected a picture as the request's body, got nothing.")
    return data


def _add_live(app: FastAPI, hub: Hub, places: Places) -> None:
    full: dict[int | str, dict[str, Any]] = {
        503: {"model": Detail, "description": "All places are taken, or too many connections"}
    }

    @app.get(
        "/events",
        summary="Decisions as they come, and the status, as server-sent events",
        response_class=Response,
        responses={200: {"content": {_EVENTS: {}}}, **full},
    )
    async def events(
        request: Request,
        recent: Annotated[int, Query(ge=0, le=200, description="So many of the latest events first")] = 0,
        status: Annotated[bool, Query(description="Whether the status is sent too, four times a second")] = True,
    ) -> Response:
        places.check()
        seen = request.headers.get("last-event-id", "")
        last = int(seen) if seen.isdecimal() and len(seen) < 20 else None
        # A larger number than there is was given by a server that ran before this one.
        after = max(hub.last_event - recent, 0) if last is None or last > hub.last_event else last
        return WatchResponse(_events(hub, after, status), media_type=_EVENTS, places=places)

    @app.get(
        "/stream.mjpg",
        summary="The live picture, as Motion JPEG",
        response_class=Response,
        responses={200: {"content": {_MOTION_JPEG: {}}}, **full},
    )
    async def stream(request: Request) -> Response:
        places.check()
        return WatchResponse(_pictures(request, hub), media_type=f"{_MOTION_JPEG}; boundary={_BOUNDARY}", places=places)

    @app.get(
        "/snapshot.jpg",
        summary="The newest frame",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 503: {"model": Detail, "description": "The camera is away"}},
    )
    async def snapshot() -> Response:
        picture = await hub.newest_picture() if hub.state == "live" else None
        if picture is None:
            raise HTTPException(503, "Expected a frame, but the camera is away.")
        return Response(picture.jpeg, media_type="image/jpeg")


async def _events(hub: Hub, after: int, with_status: bool) -> AsyncIterator[str]:
    text = message("status", hub.status())
    while not hub.closed:
        missed = hub.events_after(after)
        after = missed[-1][0] if missed else after
        # All in one piece: asyncio logs each piece that is written to a client that has just gone. The colon's line is
        # a comment: it shows that both ends are still there.
        told = [message(event.kind, event.to_dict(), number) for number, event in missed]
        yield "".join([*told, text if with_status else ":\n\n"])
        text = await hub.next_status()


async def _pictures(request: Request, hub: Hub) -> AsyncIterator[bytes]:
    # Browsers show a part when they see the boundary after it, so each part brings its own.
    yield f"--{_BOUNDARY}\r\n".encode()
    picture = await hub.newest_picture() if hub.frame is not None else None
    while not hub.closed:
        if picture is not None:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            yield b"".join((head.encode(), picture.jpeg, f"\r\n--{_BOUNDARY}\r\n".encode()))
        try:
            picture = await asyncio.wait_for(hub.next_picture(), _LOOK_S)
        except asyncio.TimeoutError:
            picture = None
            if await request.is_disconnected():
                return


def _add_collect(app: FastAPI, hub: Hub, collector: Collector) -> None:
    last: list[Any] = [None]  # frame that was taken last

    def classes() -> list[ClassCounts]:
        return [ClassCounts(**count.to_dict()) for count in collector.counts()]

    @app.get("/collect", summary="How many pictures there are, by class")
    def counts() -> list[ClassCounts]:
        return classes()

    @app.post(
        "/collect",
        summary="Keeps the newest frame as a picture of a class",
        responses={
            422: {"model": Detail, "description": "The class's name can't be a folder's"},
            503: {"model": Detail, "description": "The camera is away"},
            507: {"model": Detail, "description": "It can't be written"},
        },
    )
    def collect(wanted: CollectRequest) -> CollectAnswer:
        label = wanted.label.strip()
        try:
            check_label(label)
        except OutputError as error:
            raise HTTPException(422, str(error)) from None
        frame = hub.frame
        if frame is None or hub.state != "live":
            raise HTTPException(503, "Expected a frame, but the camera is away.")
        if frame is last[0]:
            return CollectAnswer(outcome="no new frame", classes=classes())
        last[0] = frame
        try:
            saved = collector.add(label, frame.pixels)
        except OutputError as error:
            raise HTTPException(507, str(error)) from None
        return CollectAnswer(outcome="saved" if saved else "duplicate", classes=classes())
