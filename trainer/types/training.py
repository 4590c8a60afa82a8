"""What training leaves besides the network: learning curves, and how an extension changed each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.types.pictures import Split


@dataclass(frozen=True)
class Epoch:
    """One epoch of a learning curve; accuracies are 0–1."""

    stage: str
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class ExtendedClass:
    """Accuracy of one class before and after an extension, by the float network on one split.

    Attributes:
        label: Name of the class.
        added: Number of photos added, over all splits.
        count: Number of photos measured.
        before: Number of them classified correctly before; None for a new class.
        after: Number of them classified correctly after the extension.
    """

    label: str
    added: int
    count: int
    before: int | None
    after: int


@dataclass(frozen=True)
class Extension:
    """Effect of an extension on every class, by the float network.

    Attributes:
        split: Split that was measured: stored features of the known classes, and the new photos.
        classes: All classes, known ones first.
        learned: Number of photos that the head learned from through stored features alone.
    """

    split: Split
    classes: tuple[ExtendedClass, ...]
    learned: int

    @property
    def known(self) -> tuple[ExtendedClass, ...]:
        """Classes that the extended run already knew."""
        return tuple(one for one in self.classes if one.before is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Extension:
        """Restore what `to_dict` returned."""
        return cls(**{**values, "classes": tuple(ExtendedClass(**one) for one in values["classes"])})
