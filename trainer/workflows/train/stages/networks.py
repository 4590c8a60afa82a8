"""The stages that leave a network: what is trained, and what is taken away from it."""

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
    """Reads and resizes the photos."""
    dataset = read_photos(run.photos, run.recipe)
    for split in SPLITS:
        read_pixels(run, dataset, split)
    write_dataset(folder, dataset)


def teacher(run: Run, folder: Path) -> None:
    """Trains another network, which is to teach the run's own; it takes the place of the FP32 baseline, too."""
    from trainer.training.networks.weights import resolve_weights

    recipe, dataset = teacher_recipe(run.recipe), read_dataset(run)
    backbone = get_backbone(recipe.model.backbone)
    theirs = replace(run, recipe=recipe, weights=resolve_weights(backbone, recipe.model.weights, input_size(recipe)))
    model, history = _head_trained(theirs, dataset)
    history += _trained(theirs, model, recipe, "teacher", from_scratch=theirs.weights is None)
    write_trained(folder, model, history, pretrained=theirs.weights is not None)


def head(run: Run, folder: Path) -> None:
    """The classifier alone, on the frozen backbone's features; from scratch there is nothing to freeze."""
    dataset = read_dataset(run)
    model, history = _head_trained(run, dataset)
    write_trained(folder, model, history, pretrained=run.weights is not None)
    few = len(dataset.photos) < FEW * len(dataset.labels)
    if few and run.weights is not None and not dataset.multi_label:
        write_accuracy_by_photos(folder, _accuracy_by_photos(run, model))


def _accuracy_by_photos(run: Run, model: Any) -> tuple[tuple[float, float], ...]:
    """Of a head on the features of the training and validation photos, which the backbone has never seen."""
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
    """The network, by the labels alone; with few photos, only where it knows as many of them afterwards."""
    pretrained = was_pretrained(run)
    model = read_model(run, "head")
    history = _trained(run, model, run.recipe, "finetune", from_scratch=not pretrained)
    if run.distribution:
        run.distribution.dismiss()
    if history and pretrained and len(read_dataset(run).split("train")) < MANY_PHOTOS:
        model = _better(run, folder, read_model(run, "head"), model)
    write_trained(folder, model, history, pretrained=pretrained)


def _better(run: Run, folder: Path, before: Any, after: Any) -> Any:
    """The network from before fine-tuning, if it knows more of the validation photos, or else the one after it."""
    from trainer.training.loop.scores import network_accuracy

    data = _pixels(run)
    known, known_after = (network_accuracy(model, data.val, data.contract) for model in (before, after))
    if known <= known_after:
        return after
    write_undone(folder, known, known_after)
    return before


def train_along(run: Run, dataset: Dataset, announce: Callable[[str], None]) -> None:
    """What a worker does that isn't the chief: it trains what the chief says, until there is no more.

    Args:
        run: In an empty folder of the worker's own.
        dataset: The photos.
        announce: Called with a line for people.
    """
    from trainer.training.networks.backbones import build_network

    distribution = run.distribution
    assert distribution is not None
    run.stage("data").mkdir(parents=True)
    write_dataset(run.stage("data"), dataset)
    _pixels_to_augment(run)  # now, while the chief has other things to do
    announce("Waiting for the chief's fine-tuning")
    while order := distribution.follow(fingerprint(run)):
        recipe = teacher_recipe(run.recipe) if order.stage == "teacher" else run.recipe
        model = build_network(recipe, dataset)  # its weights are the chief's
        _trained(replace(run, recipe=recipe), model, recipe, order.stage, from_scratch=order.from_scratch)


def distill(run: Run, folder: Path) -> None:
    """The network, by the teacher's answers."""
    settings = run.recipe.distill
    model = read_latest(run)
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate)
    history = _trained(run, model, recipe, "distill", open_teacher(run, settings))
    write_trained(folder, model, history, pretrained=was_pretrained(run))


def prune(run: Run, folder: Path) -> None:
    """Takes the weakest channels out, and trains what is left by the answers of the whole network."""
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
    """Sets the smallest weights to zero while the network trains, for a smaller download."""
    from trainer.compression.sparsity import sparsify as prune_weights

    settings = run.recipe.sparsify
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate, share=0.2)
    _reshape_weights(run, folder, prune_weights, settings, recipe)


def cluster(run: Run, folder: Path) -> None:
    """Lets each kernel hold a few values only while the network trains, for a smaller download."""
    from trainer.compression.clustering import cluster as cluster_weights

    settings = run.recipe.cluster
    recipe = _for_stage(run.recipe, settings.epochs, settings.learning_rate, share=0.1)
    _reshape_weights(run, folder, cluster_weights, settings, recipe)


def extend(run: Run, folder: Path) -> None:
    """The network of another run under a new head, which learns the known classes and the new ones from features."""
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
    """A step that trains the network by its own answers from before."""
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
    """Trains a model in place, on the run's photos, as the recipe's fine-tuning says."""
    from trainer.training.finetune import FitSettings
    from trainer.training.finetune import finetune as train_network

    if not recipe.finetune.epochs:
        return []
    data = _pixels_to_augment(run)
    # With a teacher, inside the input pipeline, it is the chief's work alone.
    distribution = run.distribution if by is None else None
    if distribution:
        distribution.lead(Order(stage, from_scratch), fingerprint(run))
    settings = FitSettings(recipe.finetune, recipe.augment, recipe.seed, loss=recipe.loss, teacher=by, stage=stage)
    return train_network(model, data, settings, from_scratch=from_scratch, distribution=distribution)


def fingerprint(run: Run) -> int:
    """Of all that machines must agree on to train together: the photos and the settings; 63 bits."""
    dataset = read_dataset(run)
    photos = [(photo.sha256, photo.label, photo.split) for photo in dataset.photos]
    content = json.dumps([run.recipe.without_tracking().to_dict(), dataset.labels, photos]).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1


def _for_stage(recipe: Recipe, epochs: int, learning_rate: float, *, share: float = 1.0) -> Recipe:
    """With the fine-tuning of a later stage: of all layers, for as long and as fast as it says."""
    settings = recipe.finetune_for(epochs, learning_rate, share=share)
    return replace(recipe, finetune=replace(settings, unfreeze=1.0))


def _pixels(run: Run) -> TrainingSet:
    """The training and the validation pictures, as the network takes them."""
    dataset = read_dataset(run)
    train, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")
    return TrainingSet(train, val, input_contract(run.recipe))


def _pixels_to_augment(run: Run) -> TrainingSet:
    """The training pictures, as large as augmentation takes them, and the validation pictures."""
    dataset = read_dataset(run)
    contract = training_contract(run.recipe, len(dataset.split("train")))
    train, val = read_pixels(run, dataset, "train", contract), read_pixels(run, dataset, "val")
    return TrainingSet(train, val, input_contract(run.recipe))
