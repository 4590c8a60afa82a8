"""Duration and gain of thirty trials of `edge-trainer search` on cached features, from an empty cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import shared
from benchmarks.subjects.photo_runs import use_shared_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.config import Recipe
    from trainer.types import Dataset

_DATA = "clothing"
_TRIALS = 30
_QUICK_PHOTOS, _QUICK_TRIALS = 24, 4  # photos per class


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    photos = shared(f"data/{_DATA}")
    with tempfile.TemporaryDirectory() as work, _cache_in(Path(work) / "cache"):
        if quick:
            photos = _few(photos, Path(work) / _DATA)
        return _measure(photos, Path(work) / "search", _QUICK_TRIALS if quick else _TRIALS)


def _measure(photos: Path, folder: Path, trials: int) -> list[Figure]:
    from trainer.config import Recipe
    from trainer.config.recipe_file import read_recipe
    from trainer.config.search import SearchConfig
    from trainer.data.dataset import scan
    from trainer.workflows.search.outcome import short
    from trainer.workflows.search.search import search_recipe

    recipe = Recipe()
    start = perf_counter()
    outcome = search_recipe(photos, folder, recipe, SearchConfig(trials=trials))
    seconds = perf_counter() - start
    best, own = outcome.best, outcome.own
    assert own is not None  # the default search space includes the recipe's own values
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    found = read_recipe(str(outcome.recipe))
    default, searched = (100 * _test_accuracy(one, dataset) for one in (recipe, found))
    values = ", ".join(f"{name} {short(value)}" for name, value in best.values.items())
    pruned = sum(trial.state == "pruned" for trial in outcome.trials)
    return [
        Figure(
            "search.minutes",
            f"Search on cached features, {trials} trials on {_DATA}, from an empty cache",
            seconds / 60,
            "min",
            f"{len(dataset.photos) - len(dataset.split('test'))} photos of training and validation; {pruned} pruned; "
            f"{os.cpu_count()} cores; decoding and features included",
            at_most=5.0,
        ),
        Figure(
            "search.gain",
            f"What its best recipe brings against the default one on {_DATA}, heads on frozen features",
            searched - default,
            "points",
            f"test photos: {default:.1f}% to {searched:.1f}%; validation, which decided: {own.accuracy:.1%} to "
            f"{best.accuracy:.1%}; {found.model.backbone}, {values}",
            at_least=0.0,
        ),
    ]


def _test_accuracy(recipe: Recipe, dataset: Dataset) -> float:
    """Return the test accuracy of a recipe's head, 0–1; the search itself never uses the test photos."""
    from trainer.data.cache import cache_folder
    from trainer.data.pixels import load_pixels
    from trainer.training.networks.backbones import get_backbone
    from trainer.training.networks.contract import input_contract, input_size
    from trainer.training.networks.weights import resolve_weights
    from trainer.workflows.search.features import cached_features
    from trainer.workflows.search.trials import train_trial

    weights = resolve_weights(get_backbone(recipe.model.backbone), recipe.model.weights, input_size(recipe))
    assert weights is not None
    head, _ = train_trial(recipe, dataset, weights, finetune_epochs=0)
    scores = head.predict(cached_features(dataset, "test", recipe, weights), verbose=0)
    labels = load_pixels(dataset, "test", input_contract(recipe), cache_folder()).labels
    return float((scores.argmax(axis=1) == labels).mean())


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def _few(photos: Path, to: Path) -> Path:
    """Copy the first photos of each class."""
    for folder in sorted(path for path in photos.glob("*/*") if path.is_dir()):
        target = to / folder.relative_to(photos)
        target.mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:_QUICK_PHOTOS]:
            shutil.copy(photo, target)
    return to
