"""``edge_manifest.json``: what an exported model says of itself, inside its own file.

The manifest is stored beside the labels in the ZIP appended to the ``.tflite`` (TensorFlow Lite Metadata's place for
associated files). Every exported model, FP32 or INT8, carries the same kind.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from math import isfinite
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edge_runtime.errors import ManifestError
from edge_runtime.types import Activation, InputContract, TensorSpec

SCHEMA_VERSION = 1
FILE_NAME = "edge_manifest.json"

_MAX_BYTES = 8 << 20  # golden samples of tens of thousands of classes fit in; JSON takes twenty times as much in memory


@dataclass(frozen=True)
class MeasuredAccuracy:
    """What was measured before the model was shipped, through this runtime.

    Attributes:
        split: Which photos: ``"val"`` or ``"test"``.
        count: How many.
        fp32: Accuracy of the FP32 file, 0–1.
        int8: Accuracy of the INT8 file, 0–1; None where there is none.
        agreement: Share of equal top-1 answers of the two, 0–1; None where there is one file only.
        kernels: What ran them.
    """

    split: str
    count: int
    fp32: float
    int8: float | None = None
    agreement: float | None = None
    kernels: str = ""


@dataclass(frozen=True)
class Calibration:
    """The representative dataset that an INT8 model was quantized with.

    Attributes:
        count: Pictures.
        sha256: Of their pixels, in order.
        seed: That chose them.
    """

    count: int
    sha256: str
    seed: int


@dataclass(frozen=True)
class UnknownThreshold:
    """How sure an answer must be to be one; with less, the picture may show nothing that the model knows.

    Attributes:
        certainty: The least, 0–1; see `edge_runtime.inference.postprocess.certainty`.
        kept: Share of the right answers on the validation split that have it, 0–1.
        count: Those right answers, with it or not.
    """

    certainty: float
    kept: float
    count: int


@dataclass(frozen=True)
class GoldenSample:
    """One frame and what has to come out of it.

    Attributes:
        png: The frame, RGB, as a base64 PNG; empty for a drawn one.
        pattern_seed: Of the frame that `edge_runtime.inference.golden.draw_pattern` draws, where ``png`` is empty.
        pixels_sha256: Of the resized frame: uint8 (height, width, channels) in the contract's order, C order.
        output: The network's output tensor, flattened, as stored (integers of a quantized model), for these pixels.
    """

    pixels_sha256: str
    output: tuple[float, ...]
    png: str = ""
    pattern_seed: int = 0


@dataclass(frozen=True)
class Manifest:
    """What an exported model says of itself.

    Attributes:
        input: The input contract.
        input_tensor: As it stands in the model.
        output_tensor: As it stands in the model.
        activation: That the network applies to its output.
        model_sha256: Of the file's bytes before the appended ZIP.
        provenance: Backbone, data hash, settings, versions, date: for people and for comparing runs.
        accuracy: As measured before shipping.
        calibration: None for a float model.
        golden: Samples for ``edge-runtime verify``.
        thresholds: Of a model that answers each class by itself: the least score with which each counts as there, 0–1;
            empty for all others.
        temperature: By which the logits were divided to make scores that mean what they say; 1: they weren't.
        unknown: When the runtime calls a picture unknown; None: never.
        schema_version: Of this page.
    """

    input: InputContract
    input_tensor: TensorSpec
    output_tensor: TensorSpec
    activation: Activation
    model_sha256: str
    provenance: dict[str, Any] = field(default_factory=dict)
    accuracy: tuple[MeasuredAccuracy, ...] = ()
    calibration: Calibration | None = None
    golden: tuple[GoldenSample, ...] = ()
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    unknown: UnknownThreshold | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """What the file holds."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Reads a manifest.

        Raises:
            ManifestError: It is no JSON, of a later schema or larger than 8 MiB, lacks something or holds a value of
                another type than declared above.
        """
        try:
            if len(text) > _MAX_BYTES:
                raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
            values = json.loads(text)
            version = values["schema_version"]
            if version != SCHEMA_VERSION:
                raise ManifestError(
                    f"Expected manifest schema {SCHEMA_VERSION}, got {version}. Install the edge-runtime version that "
                    "the model was exported for, or export it again."
                )
            calibration, unknown = values["calibration"], values.get("unknown")
            manifest = cls(
                input=InputContract.from_dict(values["input"]),
                input_tensor=TensorSpec.from_dict(values["input_tensor"]),
                output_tensor=TensorSpec.from_dict(values["output_tensor"]),
                activation=values["activation"],
                model_sha256=values["model_sha256"],
                provenance=values["provenance"],
                accuracy=tuple(MeasuredAccuracy(**entry) for entry in values["accuracy"]),
                calibration=Calibration(**calibration) if calibration else None,
                golden=tuple(GoldenSample(**{**entry, "output": tuple(entry["output"])}) for entry in values["golden"]),
                # Models from before these were known lack them.
                thresholds=tuple(float(threshold) for threshold in values.get("thresholds", ())),
                temperature=values.get("temperature", 1.0),
                unknown=UnknownThreshold(**unknown) if unknown else None,
            )
            _check(manifest, cls, "the manifest")
            return manifest
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ManifestError):
                raise
            raise ManifestError(
                f"Expected a complete {FILE_NAME}, got one that can't be read ({error!r}). Export the model again."
            ) from error


def _check(value: Any, kind: Any, name: str) -> None:
    """Raises a ValueError unless a value is what an annotation says."""
    if is_dataclass(kind) and isinstance(value, kind):  # type: ignore[arg-type]
        for part, of in _annotations(type(value)).items():
            _check(getattr(value, part), of, part)
    elif get_origin(kind) is tuple and is_dataclass(get_args(kind)[0]):
        for entry in value:
            _check(entry, get_args(kind)[0], name)
    elif type(None) in get_args(kind):
        if value is not None:
            _check(value, get_args(kind)[0], name)
    elif not _fits(value, kind):
        raise ValueError(f"{name} is {str(value)[:100]!r}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:  # of numbers, of which there may be thousands
        return set(map(type, value)) <= {int, get_args(kind)[0]} and all(map(isfinite, value))
    if kind is float:
        return type(value) in (int, float) and isfinite(value)
    if kind is int:
        return type(value) is int and value.bit_length() < 64
    return isinstance(value, get_origin(kind) or kind)


@cache
def _annotations(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
