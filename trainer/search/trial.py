"""What one trial does: it trains as a recipe says, and tells the accuracy on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.cache import cache_folder
from trainer.data.pixels import load_pixels
from trainer.errors import SearchError
from trainer.quiet import load_tensorflow
from trainer.search.features import cached_features
from trainer.training.backbones import FEATURES_LAYER, HEAD_LAYER, build_network, scores_layer
from trainer.training.contract import input_contract, training_contract
from trainer.training.finetune import finetune
from trainer.training.transfer import fit_head
from trainer.types import Features, Split

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.types import Dataset, Epoch


def train_trial(
    recipe: Recipe, dataset: Dataset, weights: Path | None, *, finetune_epochs: int
) -> tuple[Any, list[Epoch]]:
    """Trains the head on cached features, and then the whole network where it is asked for.

    Args:
        recipe: The trial's settings.
        dataset: The photos; those of the test split aren't looked at.
        weights: Of the backbone; None: from scratch, where the head alone isn't trained.
        finetune_epochs: Of the whole network; 0: the head alone.

    Returns:
        The network, or the head alone, from features to scores; and the learning curve of what was trained last.
    """
    import tf_keras

    load_tensorflow()
    tf_keras.backend.clear_session()  # of the trial before
    contract = input_contract(recipe)
    if not finetune_epochs:
        assert weights is not None  # features of random weights tell nothing, which the study refuses
        head = _head_model(recipe, dataset, weights)
        return head, _train_head(head, recipe, dataset, weights)
    model = build_network(recipe, dataset, weights)
    if weights is not None:
        _train_head(model, recipe, dataset, weights)
    to_augment = training_contract(recipe, len(dataset.split("train")))
    train = load_pixels(dataset, "train", to_augment, cache_folder())
    val = load_pixels(dataset, "val", contract, cache_folder())
    curve = finetune(
        model,
        train,
        val,
        replace(recipe.finetune, epochs=finetune_epochs),
        recipe.augment,
        contract=contract,
        seed=recipe.seed,
        from_scratch=weights is None,
        loss=recipe.loss,
        progress=False,
    )
    return model, curve


def kept_accuracy(curve: Sequence[Epoch]) -> float:
    """Validation accuracy of the epoch whose weights training keeps: that of the lowest loss, 0–1.

    Raises:
        SearchError: There was none.
    """
    if not curve:
        raise SearchError("Expected trials that train, got 0 epochs. Set head.epochs to at least 1.")
    return min(curve, key=lambda epoch: epoch.val_loss).val_accuracy


def _train_head(model: Any, recipe: Recipe, dataset: Dataset, weights: Path) -> list[Epoch]:
    if recipe.head.epochs == 0:
        return []

    def features(split: Split) -> Features:
        labels = load_pixels(dataset, split, input_contract(recipe), cache_folder()).labels
        return Features(cached_features(dataset, split, recipe, weights), labels)

    train, val = features("train"), features("val")
    return fit_head(model, train, val, recipe.head, seed=recipe.seed, loss=recipe.loss, progress=False)


def _head_model(recipe: Recipe, dataset: Dataset, weights: Path) -> Any:
    """From features to scores, in layers named as in the whole network, which needn't be built."""
    import tf_keras
    from tf_keras import layers

    features = layers.Input(cached_features(dataset, "val", recipe, weights).shape[1:])
    x = layers.Activation("linear", name=FEATURES_LAYER)(features)
    x = layers.Dropout(recipe.model.dropout, name="dropout")(x)
    x = layers.Dense(len(dataset.labels), name=HEAD_LAYER)(x)
    return tf_keras.Model(features, scores_layer(dataset.multi_label)(x))
