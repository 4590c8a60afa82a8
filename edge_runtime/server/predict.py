"""``POST /predict``: classifies pictures that clients upload."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from edge_runtime.errors import PictureError
from edge_runtime.pixels import decode
from edge_runtime.server.protection.guard import client_in
from edge_runtime.server.schemas import Detail, PredictAnswer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.server.protection.limits import Limits

_STATUS = {"size": 413, "format": 415, "damage": 422}  # of a `PictureError`, by its reason
_BODY = {
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


@dataclass
class Predictions:
    """Statistics of ``/predict``.

    Attributes:
        answers: Number of responses by HTTP status.
        seconds: Total time spent on requests.
        under_way: Number of requests in progress by client.
    """

    answers: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    under_way: Counter[str] = field(default_factory=Counter)


def add_predict(app: FastAPI, classifier: Classifier, limits: Limits, predictions: Predictions) -> None:
    """Add the route.

    Args:
        app: Application that gets the route.
        classifier: Classifier, called from several threads.
        limits: Limits of picture size and simultaneous uploads.
        predictions: Statistics to update.
    """
    # At least two, so that the next picture is decoded while one is in the network.
    workers = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="edge-predict")

    def classify(data: bytes, top_k: int, score_threshold: float) -> dict[str, Any]:
        start = perf_counter()
        pixels = decode_picture(data, max_pixels=limits.max_pixels)
        decoded = perf_counter()
        prediction = classifier.classify(pixels, top_k=top_k, score_threshold=score_threshold)
        height, width = pixels.shape[:2]
        size = {"height": height, "width": width, "decode_ms": (decoded - start) * 1000}
        return {**prediction.to_dict(), **size}

    async def answer(request: Request, top_k: int, score_threshold: float) -> dict[str, Any]:
        client, most = client_in(request.scope), limits.max_uploads
        if predictions.under_way.total() >= most or predictions.under_way[client] >= ceil(most / 2):
            detail = f"Too many uploads: at most {most} at a time, half of them from one client. Retry later."
            raise HTTPException(503, detail, {"retry-after": "1"})
        predictions.under_way[client] += 1
        try:
            data = await _read_picture(request)
            if len(data) > limits.max_bytes:
                raise HTTPException(413, f"The picture has {len(data):,} bytes; the limit is {limits.max_bytes:,}.")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(workers, classify, data, top_k, score_threshold)
        finally:
            predictions.under_way -= Counter([client])

    @app.post(
        "/predict",
        summary="Classify a picture",
        description="Send a JPEG, PNG, WebP or BMP file as the request body or as the form field `file`.",
        response_model=PredictAnswer,
        responses={
            400: {"model": Detail, "description": "No picture received"},
            408: {"model": Detail, "description": "The upload was too slow"},
            413: {"model": Detail, "description": f"Over {limits.max_bytes:,} bytes or {limits.max_pixels:,} pixels"},
            415: {"model": Detail, "description": "Not a JPEG, PNG, WebP or BMP file"},
            422: {"model": Detail, "description": "Damaged picture or invalid parameter"},
            503: {"model": Detail, "description": "Too many uploads or connections"},
        },
        openapi_extra={"requestBody": _BODY},
    )
    async def predict(
        request: Request,
        top_k: Annotated[int, Query(ge=1, le=1000, description="Maximum number of categories")] = 5,
        score_threshold: Annotated[float, Query(ge=0, le=1, description="Minimum score of a category")] = 0.0,
    ) -> JSONResponse:
        start, status = perf_counter(), 500
        try:
            content = await answer(request, top_k, score_threshold)
            status = 200
            return JSONResponse(content)
        except HTTPException as refusal:
            status = refusal.status_code
            raise
        except ClientDisconnect:
            status = 499  # counted as nginx does; nobody receives this response
            return JSONResponse({"detail": "The client closed the connection."}, 400)
        finally:
            predictions.answers[status] += 1
            predictions.seconds += perf_counter() - start


async def _read_picture(request: Request) -> bytes:
    """Read a picture file from the request body or the form field ``file``."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=10) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise HTTPException(400, "The form has no file field 'file'. Send the picture in it.")
                data = await file.read()
        except FormParserError as error:  # newer versions of Starlette return 400 themselves
            raise HTTPException(400, f"Invalid form: {error}.") from None
    else:
        data = await request.body()
    if not data:
        raise HTTPException(400, "No picture received. Send it as the request body or as the form field 'file'.")
    return data


def decode_picture(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a picture file to uint8 (H, W, 3) RGB, 0–255; see `edge_runtime.pixels.decode.decode_picture`.

    Raises:
        HTTPException: 413 for too many pixels, 415 for an unknown format, 422 for a damaged picture.
    """
    try:
        return decode.decode_picture(data, max_pixels=max_pixels)
    except PictureError as error:
        raise HTTPException(_STATUS[error.reason], str(error)) from None
