"""The values that travel through the runtime. This module imports nothing of ours but errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import RulesError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Color = Literal["bgr", "rgb", "gray"]
"""Channel order of a frame or of a network's input. OpenCV's frames are ``"bgr"``."""

Crop = Literal["center", "stretch"]
"""``"center"``: the largest centred square-in-aspect window; ``"stretch"``: the whole frame, aspect ignored."""

Interpolation = Literal["pyramid", "linear", "area", "nearest"]
"""``"pyramid"``: exact halvings, then ``INTER_LINEAR_EXACT`` (the same bytes on every machine);
the others are OpenCV's ``INTER_LINEAR``, ``INTER_AREA`` and ``INTER_NEAREST``."""

Activation = Literal["softmax", "sigmoid", "none"]
"""What the network has already applied to its output; ``"none"``: it gives logits."""

EventKind = Literal["entered", "left", "changed"]
"""See `Event`."""


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
class Region:
    """The part of a frame that is looked at, in shares of its size.

    Attributes:
        left: Of the frame's width, 0–1.
        top: Of the frame's height, 0–1.
        width: Of the frame's width; with ``left`` at most 1.
        height: Of the frame's height; with ``top`` at most 1.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        inside = min(self.left, self.top) >= 0 and self.left + self.width <= 1 and self.top + self.height <= 1
        if not inside or not min(self.width, self.height) > 0:
            raise RulesError(
                "Expected a region inside of the frame as left, top, width, height, each a share from 0 to 1, got "
                f"{self.left:g}, {self.top:g}, {self.width:g}, {self.height:g}."
            )

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its pixels, at least one: a view, nothing is copied.

        Args:
            pixels: uint8 (H, W, 3) or (H, W).
        """
        rows, columns = pixels.shape[:2]
        top, left = min(round(self.top * rows), rows - 1), min(round(self.left * columns), columns - 1)
        bottom, right = round((self.top + self.height) * rows), round((self.left + self.width) * columns)
        return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


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
class Category:
    """One class and its score, 0–1."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """What the network says about one frame.

    Attributes:
        categories: Best first; cut to ``top_k`` and ``score_threshold``, so possibly empty.
        preprocess_ms: From frame to network input.
        inference_ms: The network alone.
        postprocess_ms: From network output to categories.
        scores: All of them, float32 (classes,), 0–1; None unless they were asked for.
        certainty: How far the scores are from undecided, 0–1 (`edge_runtime.postprocess.certainty`); None where there
            is no threshold for it.
        is_unknown: Whether that is below the threshold that the model carries or the caller gave, so that the picture
            may show none of the classes; the categories are the best guesses all the same. None where there is none.
    """

    categories: tuple[Category, ...]
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    scores: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    certainty: float | None = None
    is_unknown: bool | None = None

    @property
    def top(self) -> Category | None:
        """The best category, or None when none reached the threshold."""
        return self.categories[0] if self.categories else None

    @property
    def total_ms(self) -> float:
        """From frame to categories."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "categories": [asdict(category) for category in self.categories],
            "preprocess_ms": self.preprocess_ms,
            "inference_ms": self.inference_ms,
            "postprocess_ms": self.postprocess_ms,
            **({} if self.scores is None else {"scores": self.scores.tolist()}),
            **({} if self.is_unknown is None else {"certainty": self.certainty, "is_unknown": self.is_unknown}),
        }


@dataclass(frozen=True)
class Event:
    """The decision became another one.

    Where one class follows another, three events come at once: ``left``, ``entered`` and ``changed``. Of a model that
    answers each class by itself, ``changed`` never comes: its classes enter and leave on their own.

    Attributes:
        kind: ``"entered"``: ``label`` is decided now; ``"left"``: ``label`` isn't any more; ``"changed"``: it is
            ``label`` now, and was ``previous``.
        label: Of the class; None for unknown, only in ``"changed"``.
        previous: What was decided before; None for unknown.
        score: The smoothed score of ``label``, 0–1; 0 for unknown.
        time: In seconds since 1970 (UTC).
        lasted_s: How long the decision that ended had stood; 0 in ``"entered"``.
    """

    kind: EventKind
    label: str | None
    previous: str | None
    score: float
    time: float
    lasted_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rounded = {"score": round(self.score, 4), "time": round(self.time, 3), "lasted_s": round(self.lasted_s, 3)}
        return {**asdict(self), **rounded}


@dataclass(frozen=True)
class Decision:
    """What is in view, over time: smoothed, and held until something else is sure.

    Attributes:
        label: Of the class; None is unknown.
        score: Its smoothed score, 0–1; 0 for unknown.
        since: When it was decided, in seconds since 1970 (UTC).
        events: What changed with this frame; mostly nothing.
        labels: Of a model that answers each class by itself, all that are in view, best first; ``label`` is then the
            best of them. None for other models.
    """

    label: str | None
    score: float
    since: float
    events: tuple[Event, ...] = ()
    labels: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        every = {} if self.labels is None else {"labels": list(self.labels)}
        return {"label": self.label, **every, "score": round(self.score, 4), "since": round(self.since, 3)}


@dataclass(frozen=True)
class Counters:
    """What became of the frames of a source, since the live loop began.

    Each captured frame ends in one of the next five; one or two may still be under way.

    Attributes:
        captured: Read from the source.
        classified: Answered by the network.
        dropped: Replaced by a newer one before the classifier was free.
        skipped: Left out by the gate: not its turn, or nothing moved.
        repeated: The same picture as the one before, to the byte, from a live source: not a new frame.
        malformed: Not a picture: another shape or type.
        reconnects: How often the source was reopened.
    """

    captured: int = 0
    classified: int = 0
    dropped: int = 0
    skipped: int = 0
    repeated: int = 0
    malformed: int = 0
    reconnects: int = 0

    def to_dict(self) -> dict[str, int]:
        """As JSON can hold it."""
        return asdict(self)


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
