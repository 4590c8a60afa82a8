"""The values that travel through the trainer. This module imports nothing of ours."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

MATRIX_CLASSES = 100
"""A confusion matrix is written out for at most so many classes: it grows with their square, and the answers tell it
too."""


@dataclass(frozen=True)
class Photo:
    """One photo of the data set.

    Attributes:
        path: Relative to the data set's folder, with forward slashes.
        label: Index of its class; in a multi-label data set the first of them, -1 where it shows none.
        split: Where it belongs.
        sha256: Of the file's bytes.
        labels: Indices of all its classes, in a multi-label data set; else None.
    """

    path: str
    label: int
    split: Split
    sha256: str
    labels: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """Indices of the classes that it shows: one, or in a multi-label data set any number."""
        return (self.label,) if self.labels is None else self.labels


@dataclass(frozen=True)
class Dataset:
    """A folder of photos, split.

    Attributes:
        root: The folder.
        labels: Names of the classes, sorted; a photo's label indexes it.
        photos: Those that can be decoded, sorted by path.
        unreadable: Path and reason of those that can't.
        given_split: True where the folder itself held train/val/test.
        multi_label: Whether photos may show several classes, or none.
    """

    root: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    given_split: bool = False
    multi_label: bool = False

    def split(self, name: Split) -> tuple[Photo, ...]:
        """The photos of one split, in order."""
        return tuple(photo for photo in self.photos if photo.split == name)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "root": str(self.root)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Dataset:
        """From what `to_dict` gave."""
        return cls(
            root=Path(values["root"]),
            labels=tuple(values["labels"]),
            photos=tuple(_photo(photo) for photo in values["photos"]),
            unreadable=tuple((path, reason) for path, reason in values["unreadable"]),
            given_split=values["given_split"],
            multi_label=values.get("multi_label", False),  # runs that are older have one label a photo
        )


def _photo(values: dict[str, Any]) -> Photo:
    labels = values.get("labels")
    return Photo(**{**values, "labels": None if labels is None else tuple(labels)})


@dataclass(frozen=True)
class Pixels:
    """The decoded pictures of one split.

    Attributes:
        images: uint8 (N, height, width, 3) RGB, 0–255; usually a read-only memory map.
        labels: int64 (N,), class indices; of a multi-label data set uint8 (N, classes), 1 for what is in the picture.
        paths: N paths relative to the data set's folder.
        whole: Number of pictures in the split where they were dealt to several workers, of which this one holds
            these; 0: they are all here.
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    paths: tuple[str, ...]
    whole: int = 0

    @property
    def strata(self) -> NDArray[np.int64]:
        """int64 (N,): the class that pictures are drawn by, of several the rarest; one more for those of none."""
        import numpy as np

        if self.labels.ndim == 1:
            return self.labels
        rarity = np.where(self.labels, -self.labels.sum(axis=0, dtype=np.int64), -len(self) - 1)
        return np.asarray(np.where(self.labels.any(axis=1), rarity.argmax(axis=1), self.labels.shape[1]), np.int64)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Features:
    """What a frozen network makes of pictures.

    Attributes:
        values: float32 (N, features): the output of global pooling, before dropout.
        labels: int64 (N,), class indices.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Epoch:
    """One line of a learning curve. Accuracies 0–1."""

    stage: str
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class ClassMetrics:
    """One class's figures, 0–1 (scikit-learn's precision_recall_fscore_support)."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """One model file measured on one split through `edge_runtime.Classifier`.

    Attributes:
        model: File name.
        split: ``"train"``, ``"val"``, ``"test"`` or the name of a folder.
        count: Number of pictures.
        accuracy: Share of right top-1 answers, 0–1.
        macro_f1: Mean of the classes' F1, 0–1.
        classes: Per class.
        labels: True class indices, in the split's order.
        predicted: Top-1 class indices, in the same order.
        scores: Score of the top-1 answer, 0–1.
        latency_ms: Median time of inference alone.
        kernels: What ran it: backend, version, kernels; for the reader.
        all_scores: Those of all the classes, float32 (N, classes), in the same order; None where they weren't kept or
            are too many.
            They aren't part of the JSON.
    """

    model: str
    split: str
    count: int
    accuracy: float
    macro_f1: float
    classes: tuple[ClassMetrics, ...]
    labels: tuple[int, ...]
    predicted: tuple[int, ...]
    scores: tuple[float, ...]
    latency_ms: float
    kernels: str
    all_scores: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def pictures(self) -> int:
        """Number of pictures that were asked about."""
        return self.count

    @cached_property
    def confusion(self) -> Counter[tuple[int, int]]:
        """How often each pair of true and predicted index occurs; those that don't are left out."""
        return Counter(zip(self.labels, self.predicted, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with ``confusion[true][predicted]``; None for more than `MATRIX_CLASSES` classes."""
        classes = range(len(self.classes))
        values = asdict(replace(self, all_scores=None))
        del values["all_scores"]
        matrix = None
        if len(classes) <= MATRIX_CLASSES:
            matrix = [[self.confusion[true, answer] for answer in classes] for true in classes]
        return {**values, "confusion": matrix}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """From what `to_dict` gave."""
        return cls(
            **{
                **{name: value for name, value in values.items() if name != "confusion"},
                "classes": tuple(ClassMetrics(**c) for c in values["classes"]),
                "labels": tuple(values["labels"]),
                "predicted": tuple(values["predicted"]),
                "scores": tuple(values["scores"]),
            }
        )


@dataclass(frozen=True)
class Robustness:
    """One model on pictures that are worse than those it learned from.

    Attributes:
        kind: ``"blur"``, ``"noise"``, ``"darkness"``, ``"jpeg"``, ``"rotation"``; ``"none"``: the pictures as they are.
        severity: 1 to 3; 0 for ``"none"``.
        amount: What the severity means, in words.
        accuracy: 0–1.
        count: Pictures.
    """

    kind: str
    severity: int
    amount: str
    accuracy: float
    count: int


@dataclass(frozen=True)
class Verdict:
    """The gate's decision on INT8, from the validation split.

    Attributes:
        passed: Whether INT8 keeps the promise.
        drop: FP32's accuracy minus INT8's, in points of percent.
        agreement: Share of equal top-1 answers, in percent.
        reasons: What was not kept; empty when passed.
    """

    passed: bool
    drop: float
    agreement: float
    reasons: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """INT8's accuracy minus FP32's, in points of percent: as reports show it, and never minus zero."""
        return 0.0 - self.drop

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verdict:
        """From what `to_dict` gave."""
        return cls(**{**values, "reasons": tuple(values["reasons"])})


@dataclass(frozen=True)
class Rung:
    """One way to quantize that the gate tried.

    Attributes:
        name: Of the way, such as ``"plain"`` or ``"qat"``; its file is ``int8_<name>.tflite``.
        title: For people.
        accuracy: On the validation split, 0–1.
        drop: FP32's accuracy minus this, in points of percent.
        agreement: Share of answers that equal FP32's, in percent.
        passed: Whether the gate would let it through.
        seconds: That it took.
        full_integer: False where layers were left in float.
        remark: What a reader should know, such as the number of pictures or the layers left in float.
        chosen: Whether this is the model that ships.
    """

    name: str
    title: str
    accuracy: float
    drop: float
    agreement: float
    passed: bool
    seconds: float
    full_integer: bool = True
    remark: str = ""
    chosen: bool = False

    @property
    def gain(self) -> float:
        """INT8's accuracy minus FP32's, in points of percent: as reports show it, and never minus zero."""
        return 0.0 - self.drop


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs, in whatever precision.

    Attributes:
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in its kernels, 0–1.
    """

    macs: int
    sparsity: float


@dataclass(frozen=True)
class Variant:
    """One model file of a run, measured beside the others.

    Attributes:
        name: Unique in the run, the file's stem: network and precision, such as ``"pruned_int8"``.
        network: What was done to the network last: ``"teacher"``, ``"student"``, ``"distilled"``, ``"pruned"``,
            ``"sparse"`` or ``"clustered"``.
        precision: ``"fp32"``, ``"int8"``, ``"float16"``, ``"dynamic_range"``, ``"int16"`` or ``"mixed"`` (INT8 with
            layers in float).
        title: For people.
        accuracies: By split, 0–1.
        size_bytes: Of the file.
        gzip_bytes: Of the file after gzip.
        macs: Multiply-adds of one inference.
        sparsity: Share of zeros in its kernels, 0–1.
        latency_ms: Median time of inference alone, all variants interleaved.
        speedup: Against the baseline: ratio, low and high end of its 95% interval; None for the baseline itself.
        baseline: Whether the others are compared with this one.
        ships: Whether it is one of the run's two models.
    """

    name: str
    network: str
    precision: str
    title: str
    accuracies: dict[str, float]
    size_bytes: int
    gzip_bytes: int
    macs: int
    sparsity: float
    latency_ms: float
    speedup: tuple[float, float, float] | None = None
    baseline: bool = False
    ships: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """From what `to_dict` gave."""
        speedup = values["speedup"]
        return cls(**{**values, "speedup": tuple(speedup) if speedup else None})


@dataclass(frozen=True)
class ExtendedClass:
    """How a class fared when a run was extended, by the float network on the photos of a split.

    Attributes:
        label: Its name.
        added: Photos of it that were added, over all splits.
        count: Photos that measured it.
        before: Of these, those that the network had right before; None for a class that it didn't know.
        after: Of these, those that it has right now.
    """

    label: str
    added: int
    count: int
    before: int | None
    after: int


@dataclass(frozen=True)
class Extension:
    """What an extension did to the classes, by the float network.

    Attributes:
        split: The photos that measured it: of the known classes those that were kept as features, and the new ones.
        classes: The known ones first.
        learned: Photos that the head was trained on as kept features, whose files weren't needed.
    """

    split: Split
    classes: tuple[ExtendedClass, ...]
    learned: int

    @property
    def known(self) -> tuple[ExtendedClass, ...]:
        """Classes that were there before."""
        return tuple(one for one in self.classes if one.before is not None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Extension:
        """From what `to_dict` gave."""
        return cls(**{**values, "classes": tuple(ExtendedClass(**one) for one in values["classes"])})
