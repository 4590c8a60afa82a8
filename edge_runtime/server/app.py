"""The web application: page, state, metrics and collection routes, and the order in which everything is added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from edge_runtime.errors import OutputError
from edge_runtime.server.metrics import CONTENT_TYPE, render_metrics
from edge_runtime.server.predict import Predictions, add_predict
from edge_runtime.server.protection.guard import Guard, Places
from edge_runtime.server.protection.limits import Limits
from edge_runtime.server.protection.traffic import Traffic, refusal
from edge_runtime.server.schemas import ClassCounts, CollectAnswer, CollectRequest, Detail, Health
from edge_runtime.server.streams import NO_FRAME, add_streams
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
# Possible responses of every route; the routes add their own.
_REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Detail, "description": "Request refused; `detail` has the reason"},
    429: {"model": Detail, "description": "Too many requests per second"},
    503: {"model": Detail, "description": "Too many connections"},
}


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
    """Create the application for uvicorn or another ASGI server.

    Args:
        classifier: Classifier for ``/predict``. If the live loop uses the same one, they take turns.
        hub: Newest frame, result and events of the live loop; None to serve only ``/predict``.
        token: Token that requests must carry; None to accept only requests to a loopback address.
        source: Description of the live loop's source.
        region: Part of the frame that the live loop classifies, drawn on the page.
        collector: Collector of training pictures; None to disable collecting.
        limits: Limits on requests; default: ``Limits()``. The limits on connections, headers and sending are enforced
            by `edge_runtime.server.serve.serve`.
        traffic: Counters of connections and refused requests, for ``/metrics``.
    """
    limits, traffic = limits or Limits(), traffic or Traffic()
    app = FastAPI(
        title="edge-runtime",
        version=__version__,
        description="Live image classification. If the server has a token, send it as `Authorization: Bearer TOKEN` or "
        "`?token=TOKEN`.",
        docs_url=None,  # FastAPI's page loads scripts from the internet
        redoc_url=None,
        redirect_slashes=False,  # redirects go to whatever host the request names
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
    add_predict(app, classifier, limits, predictions)
    if hub is not None:
        add_streams(app, hub, places)
        if collector is not None:
            _add_collect(app, hub, collector)
    public, uploads = frozenset(_PAGE_FILES), frozenset({"/predict"})
    return Guard(app, token=token, public=public, uploads=uploads, limits=limits, traffic=traffic)


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which may not be JSON-serializable.
        problems = "; ".join(f"{' '.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        return refusal(422, f"Invalid request: {problems}. See /docs.")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return refusal(500, "Internal server error. See the server's log.")


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
    @app.get("/info", summary="Model, labels and source")
    async def get_info() -> dict[str, Any]:
        # Read for each request, because the model may be replaced.
        return {**info, "model": classifier.model.path.name, "labels": list(classifier.labels)}

    @app.get(
        "/healthz",
        summary="Health check: whether frames arrive",
        response_model=Health,
        responses={
            200: {"description": "Frames arrive, or the server has no source"},
            503: {"model": Health | Detail, "description": "No frames arrive, or too many connections"},
        },
    )
    async def healthz() -> JSONResponse:
        state = "no source" if hub is None else hub.state
        return JSONResponse({"state": state}, 200 if state in ("live", "no source") else 503)

    @app.get(
        "/metrics",
        summary="Metrics in Prometheus text format",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        text = render_metrics(
            hub, answers=predictions.answers, predict_s=predictions.seconds, viewers=places.taken, traffic=traffic
        )
        return Response(text, media_type=CONTENT_TYPE)


def _add_collect(app: FastAPI, hub: Hub, collector: Collector) -> None:
    last: list[Any] = [None]  # the frame collected last

    def classes() -> list[ClassCounts]:
        return [ClassCounts(**count.to_dict()) for count in collector.counts()]

    @app.get("/collect", summary="Number of collected pictures per class")
    def counts() -> list[ClassCounts]:
        return classes()

    @app.post(
        "/collect",
        summary="Save the newest frame as a training picture",
        responses={
            422: {"model": Detail, "description": "Invalid class name"},
            503: {"model": Detail, "description": "No frames arrive"},
            507: {"model": Detail, "description": "The picture cannot be written"},
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
            raise HTTPException(503, NO_FRAME)
        if frame is last[0]:
            return CollectAnswer(outcome="no new frame", classes=classes())
        last[0] = frame
        try:
            saved = collector.add(label, frame.pixels)
        except OutputError as error:
            raise HTTPException(507, str(error)) from None
        return CollectAnswer(outcome="saved" if saved else "duplicate", classes=classes())
