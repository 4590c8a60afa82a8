"""Requests and responses of the API, as described in OpenAPI."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class CategoryAnswer(BaseModel):
    """A class and its score, 0–1."""

    index: int
    label: str
    score: float


class PredictAnswer(BaseModel):
    """Prediction for a picture, with the times of each step in milliseconds."""

    categories: list[CategoryAnswer]
    height: int
    width: int
    decode_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    certainty: float | None = None  # omitted, like the next field, if the model has no threshold for unknown pictures
    is_unknown: bool | None = None


class Detail(BaseModel):
    """Reason for refusing a request."""

    detail: str


class Health(BaseModel):
    """State of the source."""

    state: Literal["live", "away", "ended", "no source"]


class CollectRequest(BaseModel):
    """Class of the newest frame."""

    label: str


class ClassCounts(BaseModel):
    """Pictures in a class's folder, and near-duplicates skipped since the server started."""

    label: str
    pictures: int
    duplicates: int


class CollectAnswer(BaseModel):
    """Outcome for the frame, and the counts of all classes."""

    outcome: Literal["saved", "duplicate", "no new frame"]
    classes: list[ClassCounts]
