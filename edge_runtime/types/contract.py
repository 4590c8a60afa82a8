"""What goes into a network and what comes out: the input contract, its tensors, the backend that runs it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    pass


Color = Literal["bgr", "rgb", "gray"]
"""Channel order of a frame or of a network's input. OpenCV's frames are ``"bgr"``."""

Crop = Literal["center", "stretch"]
"""``"center"``: the largest centred square-in-aspect window; ``"stretch"``: the whole frame, aspect ignored."""

Interpolation = Literal["pyramid", "linear", "area", "nearest"]
"""``"pyramid"``: exact halvings, then ``INTER_LINEAR_EXACT`` (the same bytes on every machine);
the others are OpenCV's ``INTER_LINEAR``, ``INTER_AREA`` and ``INTER_NEAREST``."""

Activation = Literal["softmax", "sigmoid", "none"]
"""What the network has already applied to its output; ``"none"``: it gives logits."""


@dataclass(frozen=True)
class InputContract:
    """How a picture becomes the network's input.

    The network sees ``(pixel - mean) / std`` for each channel, with pixels 0–255.

    Attributes:
        height: Rows of the network's input.
        width: Columns of the network's input.
        color: Channel order of the network's input.
        crop: Which part of the frame is used.
        interpolation: How it is resized.
        mean: One value, or one for each channel, in pixel units 0–255.
        std: The same, greater than zero.
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
            raise ValueError(f"Expected a height and width of at least 1, got {self.height}×{self.width}.")
        for name, allowed in (
            ("color", ("bgr", "rgb", "gray")),
            ("crop", ("center", "stretch")),
            ("interpolation", ("pyramid", "linear", "area", "nearest")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Expected {name} to be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        for name in ("mean", "std"):
            values = getattr(self, name)
            numbers = isinstance(values, (tuple, list)) and all(isinstance(value, (int, float)) for value in values)
            if not numbers or not all(map(isfinite, values)):
                raise ValueError(f"Expected {name} to be a tuple of numbers, for example (127.5,), got {values!r}.")
            if len(values) not in (1, self.channels):
                raise ValueError(f"Expected 1 or {self.channels} values for {name}, got {len(values)}.")
            object.__setattr__(self, name, tuple(float(v) for v in values))
        if min(self.std) <= 0:
            raise ValueError(f"Expected std greater than 0, got {self.std}.")

    @property
    def channels(self) -> int:
        """Of the network's input: 1 for grey, else 3."""
        return 1 if self.color == "gray" else 3

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InputContract:
        """The opposite of `to_dict`."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor as the model file declares it.

    Attributes:
        dtype: ``"float32"``, ``"int8"`` or ``"uint8"`` for tensors that the runtime takes.
        shape: Its shape, the batch first.
        scale: Quantization scale; 0.0 for a float tensor. ``real = scale * (stored - zero_point)``.
        zero_point: Quantization zero point; 0 for a float tensor.
    """

    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_quantized(self) -> bool:
        """Whether it holds 8-bit integers."""
        return self.dtype in ("int8", "uint8")

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TensorSpec:
        """The opposite of `to_dict`."""
        return cls(**{**values, "shape": tuple(values["shape"])})


@dataclass(frozen=True)
class BackendInfo:
    """Which interpreter runs a model, and how.

    Attributes:
        name: ``"tflite_runtime"`` or ``"ai_edge_litert"``.
        version: Its version.
        num_threads: Threads of the kernels.
        int8_kernels: What became of the XNNPACK kernels for quantized models: ``"on"``, ``"off"``,
            ``"built in"`` (a backend that has them on by itself) or ``"not needed"`` (a float model).
        int8_kernels_reason: Why they are off; empty otherwise.
        delegated_ops: Operations that the XNNPACK delegate took; None where the backend can't tell.
        total_ops: Operations of the model.
        notes: Why a backend earlier in the order was passed over.
        undelegated: Names of the operations that the delegate left to the backend's own kernels.
        threads_from: Where the number of threads comes from: ``"caller"``, ``"sweep"`` (remembered from ``edge-runtime
            benchmark --threads auto``) or ``"default"``.
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
        """As JSON can hold it."""
        return {**asdict(self), "notes": list(self.notes), "undelegated": list(self.undelegated)}
