"""Check a recipe against the photos and the network before anything is trained."""

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
    """Check that a run can be carried out as the recipe asks.

    Args:
        recipe: All settings.
        labels: Names of the classes.
        multi_label: Whether a photo may show several classes.

    Raises:
        RecipeError: The loss or the teacher does not fit the labels, settings conflict, mirroring would turn one class
            into another, or a GPU is needed and missing.
        CompressionError: The network cannot be pruned as far, or not be trained for INT8.
    """
    fitted_to(recipe.loss, multi_label=multi_label)
    if multi_label and recipe.head.solver == "lbfgs":
        raise RecipeError(
            "head.solver 'lbfgs' supports one label per photo only, but the photos have several. Use head.solver=adam."
        )
    check_precision(recipe.finetune)
    check_flip(recipe.augment, labels)
    check_teacher(recipe, labels, multi_label=multi_label)
    if recipe.cluster.clusters and recipe.qat.always:
        raise RecipeError(
            f"cluster.clusters ({recipe.cluster.clusters}) and qat.always exclude each other, as quantization-aware "
            "training would undo the clusters. Remove one of them."
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
