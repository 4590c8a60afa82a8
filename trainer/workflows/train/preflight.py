"""Looks at what a recipe asks for before anything is trained, and refuses what can't work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.environment import load_tensorflow
from trainer.errors import RecipeError
from trainer.training.augmentation.augment import check_flip
from trainer.training.loop.losses import fitted_to
from trainer.training.loop.mixed_precision import check_precision
from trainer.training.networks.backbones import build_model, get_backbone
from trainer.training.networks.contract import input_size
from trainer.workflows.train.stages.teachers import check_teacher

if TYPE_CHECKING:
    from trainer.config import Recipe


def check_plan(recipe: Recipe, labels: tuple[str, ...], *, multi_label: bool = False) -> None:
    """Raises an error that says what can't work.

    Args:
        recipe: The settings.
        labels: Names of the classes.
        multi_label: Whether photos may show several classes.

    Raises:
        RecipeError: The loss doesn't fit the labels; there is no such teacher, or it knows other classes or answers in
            another way; steps undo each other; a mirrored picture would be of another class; or there is no GPU for
            what needs one.
        CompressionError: The network has nothing to prune, or not so much, or can't be trained for INT8.
    """
    fitted_to(recipe.loss, multi_label=multi_label)
    if multi_label and recipe.head.solver == "lbfgs":
        raise RecipeError(
            "Expected head.solver adam for photos that show several classes, got 'lbfgs', which knows one class a "
            "photo. Use --set head.solver=adam."
        )
    check_precision(recipe.finetune)
    check_flip(recipe.augment, labels)
    check_teacher(recipe, labels, multi_label=multi_label)
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
    network = build_model(backbone, num_classes=len(labels), multi_label=multi_label, input_size=input_size(recipe))
    if pruned:
        from trainer.compression.channel_pruning import check_budget

        check_budget(network, recipe.prune.keep_macs)
    if sparse:
        from trainer.compression.sparsity import check_layers

        check_layers(network, recipe.sparsify)
    if recipe.qat.always:
        from trainer.quantization.qat.train import check_trainable

        check_trainable(network)
