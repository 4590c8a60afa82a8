"""Stages that write a network: training and compression."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config.photo_count import MANY_PHOTOS
from trainer.data.few_photos import FEW
from trainer.environment import load_tensorflow
from trainer.runs.artifacts import (
    read_dataset,
    read_latest,
    read_latest_shared,
    read_model,
    read_pixels,
    was_pretrained,
    write_accuracy_by_photos,
    write_dataset,
    write_extension,
    write_trained,
    write_undone,
    write_widths,
)
from trainer.runs.run import Run, load_run
from trainer.training.distribution.strategy import Order
from trainer.training.networks.backbones import get_backbone
from trainer.training.networks.contract import input_contract, input_size, training_contract
from trainer.types import SPLITS, Dataset, Epoch, Extension, Features, TrainingSet
from trainer.workflows.train.extend.extension import read_photos
from trainer.workflows.train.extend.kept_features import read_kept
from trainer.workflows.train.stages.teachers import open_teacher, teacher_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.config import Recipe
    from trainer.training.distillation import Teacher


def data(run: Run, folder: Path) -> None:
    """Read and resize the photos."""
    dataset = read_photos(run.photos, run.recipe)
    for split in SPLITS:
        read_pixels(run, dataset, split)
    write_dataset(folder, dataset)


def teacher(run: Run, folder: Path) -> None:
    """Train the teacher of the run's network, which also serves as FP32 baseline."""
    from trainer.training.networks.weights import resolve_weights

    recipe, dataset = teacher_recipe(run.recipe), read_dataset(run)
    backbone = get_backbone(recipe.model.backbone)
    weights = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
    teacher_run = replace(run, recipe=recipe, weights=weights)
    model, history = _head_trained(teacher_run, dataset)
    history += _trained(teacher_run, model, recipe, "teacher", from_scratch=weights is None)
    write_trained(folder, model, history, pretrained=weights is not None)


def head(run: Run, folder: Path) -> None:
    """Train the classifier head on the frozen backbone's features; a run from scratch skips it."""
    dataset = read_dataset(run)
    model, history = _head_trained(run, dataset)
    write_trained(folder, model, history, pretrained=run.weights is not None)
    few = len(dataset.photos) < FEW * len(dataset.labels)
    if few and run.weights is not None and not dataset.multi_label:
        write_accuracy_by_photos(folder, _accuracy_by_photos(run, model))


def _accuracy_by_photos(run: Run, model: Any) -> tuple[tuple[float, float], ...]:
    """Measure heads on features of training and validation photos, neither of which the backbone has seen."""
    import numpy as np

    from trainer.evaluation.more_photos import accuracy_by_photos
    from trainer.training.head import feature_extractor

    data = _pixels(run)
    parts = data.train, data.val
    extract = feature_extractor(model, contract=data.contract)
    features = [extract(pixels.images) for pixels in parts]
    pooled = Features(np.concatenate(features), np.concatenate([pixels.labels for pixels in parts]))
    return accuracy_by_photos(pooled, seed=run.recipe.seed)


def finetune(run: Run, folder: Path) -> None:
    """Fine-tune the network on the labels; with few photos, undo it if validation accuracy drops."""
    pretrained = was_pretrained(run)
    model = read_model(run, "head")
    history = _trained(run, model, run.recipe, "finetune", from_scratch=not pretrained)
    if run.distribution:
        run.distribution.dismiss()
    if history and pretrained and len(read_dataset(run).split("train")) < MANY_PHOTOS:
        model = _better(run, folder, read_model(run, "head"), model)
    write_trained(folder, model, history, pretrained=pretrained)


def _better(run: Run, folder: Path, before: Any, after: Any) -> Any:
    """Return the network with the higher validation accuracy; fine-tuning wins a tie."""
    from trainer.training.loop.scores import network_accuracy

    data = _pixels(run)
    accuracy, accuracy_after = (network_accuracy(model, data.val, data.contract) for model in (before, after))
    if accuracy <= accuracy_after:
        return after
    write_undone(folder, accuracy, accuracy_after)
    return before


def train_along(run: Run, dataset: Dataset, announce: Callable[[str], None]) -> None:
    """Train whatever the chief orders, as a worker, until the chief dismisses it.

    Args:
        run: Run in an empty folder of the worker's own.
        dataset: The photos.
        announce: Function that receives progress messages.
    """
    from trainer.training.networks.backbones import build_network

    distribution = run.distribution
    assert distribution is not None
    run.stage("data").mkdir(parents=True)
    write_dataset(run.stage("data"), dataset)
    _pixels_to_augment(run)  # now, while the chief is still busy
    announce("Waiting for the chief's fine-tuning")
    while order := distribution.follow(fingerprint(run)):
        recipe = teacher_recipe(run.recipe) if order.stage == "teacher" else run.recipe
        model = build_network(recipe, dataset)  # the chief sends the weights
        _trained(replace(run, recipe=recipe), model, recipe, order.stage, from_scratch=order.from_scratch)


def distill(run: Run, folder: Path) -> None:
    """Train the network on the teacher's predictions."""
    settings = run.recipe.distill
    model = read_latest(run)
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate)
    history = _trained(run, model, recipe, "distill", open_teacher(run, settings))
    write_trained(folder, model, history, pretrained=was_pretrained(run))


def prune(run: Run, folder: Path) -> None:
    """Remove the least important channels, then train the rest on the predictions of the whole network."""
    from trainer.compression.channel_pruning import prune as prune_channels
    from trainer.compression.cost import layer_widths
    from trainer.training.distillation import Teacher

    settings, contract = run.recipe.prune, input_contract(run.recipe)
    whole = read_latest(run)
    model = prune_channels(whole, _pixels(run).train, contract=contract, config=settings)
    history: list[Epoch] = []
    if settings.epochs:
        recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate)
        by = Teacher(whole, recipe.distill, contract=contract, loss=recipe.loss)
        history = _trained(run, model, recipe, "prune", by)
    write_trained(folder, model, history, pretrained=was_pretrained(run))
    write_widths(folder, layer_widths(whole), layer_widths(model))


def sparsify(run: Run, folder: Path) -> None:
    """Set the smallest weights to zero during training, for a smaller download."""
    from trainer.compression.sparsity import sparsify as prune_weights

    settings = run.recipe.sparsify
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate, share=0.2)
    _reshape_weights(run, folder, prune_weights, settings, recipe)


def cluster(run: Run, folder: Path) -> None:
    """Limit each kernel to a few distinct values during training, for a smaller download."""
    from trainer.compression.clustering import cluster as cluster_weights

    settings = run.recipe.cluster
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate, share=0.1)
    _reshape_weights(run, folder, cluster_weights, settings, recipe)


def extend(run: Run, folder: Path) -> None:
    """Put a new head on the network of another run, trained on features of known and new classes."""
    from trainer.training.head_extension import compare, extend_head

    of, kept, recipe = load_run(Path(run.recipe.extend.run)), read_kept(run), run.recipe
    known = read_kept(of)
    load_tensorflow()
    before, classes = read_latest_shared(of), len(kept.labels)
    model, history = extend_head(before, classes, kept.split("train"), kept.split("val"), recipe.head, seed=recipe.seed)
    write_trained(folder, model, history, pretrained=was_pretrained(of))
    added = [photo.label for photo in kept.photos[len(known.photos) :]]
    counts = [added.count(index) for index in range(classes)]
    compared = compare(before, model, kept.split("test"), labels=kept.labels, added=counts)
    write_extension(folder, Extension("test", compared, learned=len(known.split("train"))))


def _reshape_weights(run: Run, folder: Path, step: Callable[..., Any], settings: Any, recipe: Recipe) -> None:
    """Run a step that trains the network on its own earlier predictions."""
    from trainer.training.distillation import Teacher
    from trainer.training.finetune import FitSettings

    before, data = read_latest(run), _pixels_to_augment(run)
    teacher = Teacher(before, recipe.distill, contract=data.contract, loss=recipe.loss)
    fitting = FitSettings(recipe.finetune, recipe.augment, recipe.seed, teacher=teacher)
    model, history = step(before, data, fitting, settings)
    write_trained(folder, model, history, pretrained=was_pretrained(run))


def _head_trained(run: Run, dataset: Dataset) -> tuple[Any, list[Epoch]]:
    from trainer.training.head import train_head
    from trainer.training.networks.backbones import build_network

    load_tensorflow()
    recipe = run.recipe
    model = build_network(recipe, dataset, run.weights)
    if run.weights is None:
        return model, []
    return model, train_head(model, _pixels(run), recipe.head, seed=recipe.seed, loss=recipe.loss)


def _trained(
    run: Run, model: Any, recipe: Recipe, stage: str, by: Teacher | None = None, *, from_scratch: bool = False
) -> list[Epoch]:
    """Fine-tune a model in place, on the run's photos with the recipe's settings."""
    from trainer.training.finetune import FitSettings
    from trainer.training.finetune import finetune as train_network

    if not recipe.finetune.epochs:
        return []
    data = _pixels_to_augment(run)
    # A teacher is part of the input pipeline, so distillation runs on the chief alone.
    distribution = run.distribution if by is None else None
    if distribution:
        distribution.lead(Order(stage, from_scratch), fingerprint(run))
    settings = FitSettings(recipe.finetune, recipe.augment, recipe.seed, loss=recipe.loss, teacher=by, stage=stage)
    return train_network(model, data, settings, from_scratch=from_scratch, distribution=distribution)


def fingerprint(run: Run) -> int:
    """Return a 63-bit hash of photos and settings, on which all machines of a training must agree."""
    dataset = read_dataset(run)
    photos = [(photo.sha256, photo.label, photo.split) for photo in dataset.photos]
    content = json.dumps([run.recipe.without_tracking().to_dict(), dataset.labels, photos]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1


def _for_stage(recipe: Recipe, epochs: int, learning_rate: float, *, share: float = 1.0) -> Recipe:
    """Return the recipe for a later stage: fine-tuning of all layers, with its own epochs and learning rate."""
    settings = recipe.finetune_for(epochs, learning_rate, share=share)
    return replace(recipe, finetune=replace(settings, unfreeze=1.0))


def _pixels(run: Run) -> TrainingSet:
    """Return training and validation pictures at the network's input size."""
    dataset = read_dataset(run)
    train, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")
    return TrainingSet(train, val, input_contract(run.recipe))


def _pixels_to_augment(run: Run) -> TrainingSet:
    """Return training pictures at the size that augmentation needs, and validation pictures."""
    dataset = read_dataset(run)
    contract = training_contract(run.recipe, len(dataset.split("train")))
    train, val = read_pixels(run, dataset, "train", contract), read_pixels(run, dataset, "val")
    return TrainingSet(train, val, input_contract(run.recipe))
