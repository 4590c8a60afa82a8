"""Initial weights of the networks in a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import WeightsError
from trainer.training.networks.backbones import get_backbone
from trainer.training.networks.contract import input_size
from trainer.training.networks.weights import resolve_weights

if TYPE_CHECKING:
    from trainer.config import Recipe


class Weights:
    """Weights files of the backbones, each resolved once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Path | None] = {}

    def of(self, recipe: Recipe) -> Path | None:
        """Return the weights file for a recipe; None if it trains from scratch."""
        key = (recipe.model.backbone, input_size(recipe), recipe.model.weights)
        if key not in self._found:
            backbone = get_backbone(recipe.model.backbone)
            self._found[key] = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
        return self._found[key]

    def can_be_had(self, recipe: Recipe) -> bool:
        """Whether the weights that a recipe asks for exist; a file of the user's own fits one network only."""
        if recipe.model.weights not in ("imagenet", "auto"):
            return recipe.model.weights == "none"
        try:
            return self.of(recipe) is not None
        except WeightsError:
            return False
