"""Looks at what a recipe asks for before anything is trained, and refuses what can't work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.artifacts import input_size
from trainer.errors import RecipeError
from trainer.quiet import load_tensorflow
from trainer.training.backbones import build_model, get_backbone
from trainer.training.mixed_precision import check_precision
from trainer.training.teachers import check_teacher

if TYPE_CHECKING:
    from trainer.config import Recipe


def check_plan(recipe: Recipe, labels: tuple[str, ...]) -> None:
    """Raises an error that says what can't work.

    Raises:
        RecipeError: There is no such teacher, or it knows other classes; steps undo each other; or there is no GPU
            for what needs one.
        CompressionError: The network has nothing to prune, or not so much, or can't be trained for INT8.
    """
    check_precision(recipe.finetune)
    check_teacher(recipe, labels)
    if recipe.cluster.clusters and recipe.qat.always:
        raise RecipeError(
            f"Expected either cluster.clusters or qat.always, got {recipe.cluster.clusters} clusters before training "
            "that would move each weight again. Leave one of them out."
        )
    pruned, sparse = recipe.prune.keep_macs < 1, recipe.sparsify.sparsity > 0
    if not (pruned or sparse or recipe.qat.always):
        return
    load_tensorflow()
    backbone = get_backbone(recipe.model.backbone)
    network = build_model(backbone, num_classes=len(labels), input_size=input_size(recipe))
    if pruned:
        from trainer.compression.channel_pruning import check_budget

        check_budget(network, recipe.prune.keep_macs)
    if sparse:
        from trainer.compression.sparsity import check_layers

        check_layers(network, recipe.sparsify)
    if recipe.qat.always:
        from trainer.compression.qat import check_trainable

        check_trainable(network)
