"""``edge_manifest.json``: the description of an exported model, stored in the model file.

The manifest is stored next to the labels in the ZIP archive at the end of the ``.tflite`` file, where TensorFlow Lite
Metadata keeps associated files. FP32 and INT8 models have the same fields.
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

# Enough for golden samples with tens of thousands of classes. Parsed JSON takes twenty times its size in memory.
_MAX_BYTES = 8 << 20


@dataclass(frozen=True)
class MeasuredAccuracy:
    """Accuracy of the exported files, measured with this runtime before export.

    Attributes:
        split: Data split: ``"val"`` or ``"test"``.
        count: Number of photos.
        fp32: Accuracy of the FP32 model, 0–1.
        int8: Accuracy of the INT8 model, 0–1; None if there is none.
        agreement: Share of photos with the same top-1 prediction in FP32 and INT8, 0–1; None without an INT8 model.
        kernels: Kernels that ran the models.
    """

    split: str
    count: int
    fp32: float
    int8: float | None = None
    agreement: float | None = None
    kernels: str = ""


@dataclass(frozen=True)
class Calibration:
    """Calibration set (representative dataset) of an INT8 model.

    Attributes:
        count: Number of pictures.
        sha256: SHA-256 of their pixels, in order.
        seed: Random seed that selected them.
    """

    count: int
    sha256: str
    seed: int


@dataclass(frozen=True)
class UnknownThreshold:
    """Certainty below which a picture is reported as unknown, because it may show none of the classes.

    Attributes:
        certainty: Threshold, 0–1; see `edge_runtime.inference.postprocess.certainty`.
        kept: Share of correct predictions on the validation set that reach the threshold, 0–1.
        count: Number of correct predictions on the validation set.
    """

    certainty: float
    kept: float
    count: int


@dataclass(frozen=True)
class GoldenSample:
    """Frame with its expected output, for ``edge-runtime verify``.

    Attributes:
        pixels_sha256: SHA-256 of the resized frame: uint8 (height, width, channels), in the contract's channel order.
        output: Expected output tensor, flattened, as stored: integers for a quantized model.
        png: Frame as a base64-encoded RGB PNG; empty for a generated one.
        pattern_seed: Seed of `edge_runtime.inference.golden.draw_pattern`, which generates the frame if ``png`` is
            empty.
    """

    pixels_sha256: str
    output: tuple[float, ...]
    png: str = ""
    pattern_seed: int = 0


@dataclass(frozen=True)
class Manifest:
    """Description of an exported model.

    Attributes:
        input: Input contract.
        input_tensor: Input tensor of the model.
        output_tensor: Output tensor of the model.
        activation: Activation function at the end of the network.
        model_sha256: SHA-256 of the model file up to the appended archive.
        provenance: Backbone, data hash, settings, versions and date of the training run.
        accuracy: Accuracy measured before export.
        calibration: Calibration set; None for a float model.
        golden: Golden samples for ``edge-runtime verify``.
        thresholds: Score threshold of each class of a multi-label model, 0–1; empty for other models.
        temperature: Temperature that the logits were divided by to calibrate the scores; 1 if they were not.
        unknown: Threshold for unknown pictures; None if the runtime reports none as unknown.
        schema_version: Version of the manifest format.
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
        """Return the manifest as compact JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Parse a manifest.

        Raises:
            ManifestError: The text is not JSON, larger than 8 MiB, of another schema version, or has a missing field
                or a value of the wrong type.
        """
        try:
            if len(text) > _MAX_BYTES:
                raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
            values = json.loads(text)
            version = values["schema_version"]
            if version != SCHEMA_VERSION:
                raise ManifestError(
                    f"The model's manifest has schema version {version}, but this edge-runtime reads version "
                    f"{SCHEMA_VERSION}. Install the edge-runtime that the model was exported for, or export it again."
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
                # Older models lack these fields.
                thresholds=tuple(float(threshold) for threshold in values.get("thresholds", ())),
                temperature=values.get("temperature", 1.0),
                unknown=UnknownThreshold(**unknown) if unknown else None,
            )
            _check(manifest, cls, "the manifest")
            return manifest
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, ManifestError):
                raise
            raise ManifestError(f"The model's {FILE_NAME} is invalid ({error!r}). Export the model again.") from error


def _check(value: Any, kind: Any, name: str) -> None:
    """Raise a ValueError unless ``value`` has the annotated type."""
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
    if get_origin(kind) is tuple:  # of numbers; an output may have thousands, so check them together
        return set(map(type, value)) <= {int, get_args(kind)[0]} and all(map(isfinite, value))
    if kind is float:
        return type(value) in (int, float) and isfinite(value)
    if kind is int:
        return type(value) is int and value.bit_length() < 64
    return isinstance(value, get_origin(kind) or kind)


@cache
def _annotations(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
