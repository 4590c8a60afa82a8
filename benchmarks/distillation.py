"""What a teacher brings to a student on clothing: the same steps with and without it, three seeds, test split.

The teacher is MobileNetV2 1.0, trained as a run trains its teacher: without label smoothing.
"""

from __future__ import annotations

import sys
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.answers import remembered
from benchmarks.figure import Figure
from benchmarks.networks import accuracy, new_network
from benchmarks.photo_runs import folder, photo_run, student_recipe, teacher_recipe, use_shared_weights

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.config import Recipe

_SEEDS = (0, 1, 2)
_DATA = "clothing"


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    settings = {"finetune": {"epochs": 16, "label_smoothing": 0.0}}
    photo_run("unsmoothed", _DATA, teacher_recipe().updated(settings), quick)
    teacher = folder("unsmoothed", _DATA, quick)
    found = [
        remembered("distillation", f"seed-{seed}", quick, partial(_answers, teacher, seed, quick)) for seed in seeds
    ]
    gains = [100 * (one["distilled"] - one["alone"]) for one in found]
    each = "; ".join(
        f"seed {s}: {one['alone']:.1%} to {one['distilled']:.1%}" for s, one in zip(seeds, found, strict=True)
    )
    recipe = _recipe(teacher)
    return [
        Figure(
            "distillation.gain",
            f"What distillation brings a MobileNetV2 0.35 on {_DATA}, the same steps with and without",
            mean(gains),
            "points",
            f"mean of {len(seeds)} seeds, FP32, 160 px, {recipe.finetune.epochs} epochs; {each}; "
            f"teacher MobileNetV2 1.0, 224 px: {found[0]['teacher']:.1%}; "
            f"{found[0]['count']} test photos",
            at_least=1.0,
        )
    ]


def _recipe(teacher: Path) -> Recipe:
    return student_recipe(teacher, "finetune.epochs=16")


def _answers(teacher: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Trains a student both ways, and measures both and the teacher."""
    from dataclasses import replace

    from trainer.artifacts import input_contract, read_dataset, read_latest, read_pixels
    from trainer.compression.distillation import Teacher
    from trainer.run import Run, load_run
    from trainer.training.finetune import finetune
    from trainer.training.transfer import train_head

    run = load_run(teacher)
    recipe = replace(_recipe(teacher), seed=seed)
    dataset, contract = read_dataset(run), input_contract(recipe)
    here = Run(run.folder, run.photos, recipe, None)
    train, val, test = (read_pixels(here, dataset, split) for split in ("train", "val", "test"))
    config = replace(recipe.finetune, epochs=1) if quick else recipe.finetune
    accuracies: dict[str, Any] = {"count": len(test)}
    network = read_latest(run)
    for way in ("alone", "distilled"):
        student = new_network(recipe, len(dataset.labels))
        train_head(student, train, val, recipe.head, contract=contract, seed=seed)
        guide = Teacher(
            network, recipe.distill, contract=input_contract(run.recipe), pixels=read_pixels(run, dataset, "train")
        )
        finetune(
            student,
            train,
            val,
            config,
            recipe.augment,
            contract=contract,
            seed=seed,
            teacher=guide if way == "distilled" else None,
            stage=way,
        )
        accuracies[way] = accuracy(student, test, contract)
        accuracies[f"{way}_val"] = accuracy(student, val, contract)
        print(f"seed {seed}, {way}: {accuracies[f'{way}_val']:.1%} on validation", file=sys.stderr)
    accuracies["teacher"] = accuracy(network, read_pixels(run, dataset, "test"), input_contract(run.recipe))
    return accuracies
