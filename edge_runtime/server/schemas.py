"""What the web application takes and answers, as its OpenAPI description has it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class CategoryAnswer(BaseModel):
    """One class and its score, 0–1."""

    index: int
    label: str
    score: float


class PredictAnswer(BaseModel):
    """What the network says about a picture, and what that took."""

    categories: list[CategoryAnswer]
    height: int
    width: int
    decode_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    certainty: float | None = None  # this and the next are left out where the model carries no threshold
    is_unknown: bool | None = None


class Detail(BaseModel):
    """Why a request is refused."""

    detail: str


class Health(BaseModel):
    """Whether frames come."""

    state: Literal["live", "away", "ended", "no source"]


class CollectRequest(BaseModel):
    """Which class the newest frame belongs to."""

    label: str


class ClassCounts(BaseModel):
    """How a class stands: pictures in its folder, near-duplicates left out since the server was started."""

    label: str
    pictures: int
    duplicates: int


class CollectAnswer(BaseModel):
    """What became of a frame, and how the classes stand."""

    outcome: Literal["saved", "duplicate", "no new frame"]
    classes: list[ClassCounts]
