"""What a network takes, returns and runs on: input contract, tensors, backend."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal, get_args

Color = Literal["bgr", "rgb", "gray"]
"""Channel order of a frame or of a network's input. OpenCV's frames are ``"bgr"``."""

Crop = Literal["center", "stretch"]
"""``"center"``: largest centered window of the input's aspect ratio; ``"stretch"``: the whole frame, rescaled."""

Interpolation = Literal["pyramid", "linear", "area", "nearest"]
"""``"pyramid"``: exact halvings, then ``INTER_LINEAR_EXACT`` (the same bytes on every machine);
the others are OpenCV's ``INTER_LINEAR``, ``INTER_AREA`` and ``INTER_NEAREST``."""

Activation = Literal["softmax", "sigmoid", "none"]
"""Activation that the network has already applied to its output; ``"none"``: it returns logits."""


@dataclass(frozen=True)
class InputContract:
    """How a picture becomes the network's input.

    The network receives ``(pixel - mean) / std`` per channel, with pixels 0–255.

    Attributes:
        height: Rows of the network's input.
        width: Columns of the network's input.
        color: Channel order of the network's input.
        crop: Part of the frame that is used.
        interpolation: Resizing method.
        mean: Mean to subtract, in pixel units 0–255: one value, or one per channel.
        std: Standard deviation to divide by, in pixel units, above 0: one value, or one per channel.

    Raises:
        ValueError: A value is out of range or of the wrong type.
    """

    height: int
    width: int
    color: Color = "rgb"
    crop: Crop = "center"
    interpolation: Interpolation = "pyramid"
    mean: tuple[float, ...] = (128.0,)
    std: tuple[float, ...] = (127.5,)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"height and width must be at least 1, got {self.height}×{self.width}.")
        for name, choices in (("color", Color), ("crop", Crop), ("interpolation", Interpolation)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")
        for name in ("mean", "std"):
            values = getattr(self, name)
            numbers = isinstance(values, (tuple, list)) and all(isinstance(value, (int, float)) for value in values)
            if not numbers or not all(map(isfinite, values)):
                raise ValueError(f"{name} must be a tuple of numbers such as (127.5,), got {values!r}.")
            if len(values) not in (1, self.channels):
                count = "1 value" if self.channels == 1 else f"1 or {self.channels} values"
                raise ValueError(f"Expected {count} for {name}, got {len(values)}.")
            object.__setattr__(self, name, tuple(float(v) for v in values))
        if min(self.std) <= 0:
            raise ValueError(f"std must be greater than 0, got {self.std}.")

    @property
    def channels(self) -> int:
        """Channels of the network's input: 1 for gray, otherwise 3."""
        return 1 if self.color == "gray" else 3

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InputContract:
        """Rebuild the contract from the result of `to_dict`."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor as the model file declares it.

    Attributes:
        dtype: Data type; the runtime supports ``"float32"``, ``"int8"`` and ``"uint8"``.
        shape: Shape, batch dimension first.
        scale: Quantization scale; 0.0 for a float tensor. ``real = scale * (stored - zero_point)``.
        zero_point: Quantization zero point; 0 for a float tensor.
    """

    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_quantized(self) -> bool:
        """Whether the tensor holds 8-bit integers."""
        return self.dtype in ("int8", "uint8")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TensorSpec:
        """Rebuild the tensor from the result of `to_dict`."""
        return cls(**{**values, "shape": tuple(values["shape"])})


@dataclass(frozen=True)
class BackendInfo:
    """The interpreter that runs a model, and its configuration.

    Attributes:
        name: ``"tflite_runtime"`` or ``"ai_edge_litert"``.
        version: Version of the backend.
        num_threads: Number of kernel threads.
        int8_kernels: State of the XNNPACK kernels for quantized models: ``"on"``, ``"off"``, ``"built in"`` (always
            on in this backend) or ``"not needed"`` (float model).
        int8_kernels_reason: Reason that they are off; otherwise empty.
        delegated_ops: Number of operations run by the XNNPACK delegate; None if the backend does not report it.
        total_ops: Number of operations in the model; None if the backend does not report it.
        notes: Reasons that preferred backends were skipped.
        undelegated: Names of the operations left to the backend's own kernels.
        threads_from: Origin of ``num_threads``: ``"caller"``, ``"sweep"`` (remembered from ``edge-runtime benchmark
            --threads auto``) or ``"default"``.
    """

    name: str
    version: str
    num_threads: int
    int8_kernels: str
    int8_kernels_reason: str = ""
    delegated_ops: int | None = None
    total_ops: int | None = None
    notes: tuple[str, ...] = field(default=())
    undelegated: tuple[str, ...] = ()
    threads_from: str = "caller"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "notes": list(self.notes), "undelegated": list(self.undelegated)}
