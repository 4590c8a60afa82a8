"""What training leaves beside the network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.types.pictures import Split


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
