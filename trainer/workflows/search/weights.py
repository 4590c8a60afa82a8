"""The weights that the networks of a search begin with."""

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
    """The backbones' weights, each looked for once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Path | None] = {}

    def of(self, recipe: Recipe) -> Path | None:
        """The file; None: from scratch."""
        key = (recipe.model.backbone, input_size(recipe), recipe.model.weights)
        if key not in self._found:
            backbone = get_backbone(recipe.model.backbone)
            self._found[key] = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
        return self._found[key]

    def can_be_had(self, recipe: Recipe) -> bool:
        """Whether a network has what the recipe asks for; a file fits one network."""
        if recipe.model.weights not in ("imagenet", "auto"):
            return recipe.model.weights == "none"
        try:
            return self.of(recipe) is not None
        except WeightsError:
            return False
