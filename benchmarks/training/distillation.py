"""Gain in test accuracy from distillation on clothing: a student with and without a teacher, three seeds.

The teacher is MobileNetV2 1.0, trained without label smoothing like the teacher of a run.
"""

from __future__ import annotations

from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.answers import remembered
from benchmarks.subjects.networks import new_network
from benchmarks.subjects.photo_runs import folder, photo_run, student_recipe, teacher_recipe, use_shared_weights

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
    found = {
        way: [
            remembered("distillation", f"{way}-{seed}", quick, partial(_answers, teacher, way, seed, quick))
            for seed in seeds
        ]
        for way in ("alone", "distilled")
    }
    pairs = list(zip(*found.values(), strict=True))
    each = "; ".join(
        f"seed {seed}: {a['student']:.1%} to {b['student']:.1%}" for seed, (a, b) in zip(seeds, pairs, strict=True)
    )
    known = found["distilled"][0]
    return [
        Figure(
            "distillation.gain",
            f"What distillation brings a MobileNetV2 0.35 on {_DATA}, the same steps with and without",
            mean(100 * (b["student"] - a["student"]) for a, b in pairs),
            "points",
            f"mean of {len(seeds)} seeds, FP32, 160 px, {_recipe(teacher).finetune.epochs} epochs; {each}; "
            f"teacher MobileNetV2 1.0, 224 px: {known['teacher']:.1%}; {known['count']} test photos",
            at_least=1.0,
        )
    ]


def _recipe(teacher: Path) -> Recipe:
    return student_recipe(teacher, "finetune.epochs=16")


def _answers(teacher: Path, way: str, seed: int, quick: bool) -> dict[str, Any]:
    """Train a student and return its test and validation accuracy, 0–1, the teacher's, and the number of photos."""
    from dataclasses import replace

    from trainer.runs.artifacts import read_dataset, read_latest, read_pixels
    from trainer.runs.run import Run, load_run
    from trainer.training.distillation import Teacher
    from trainer.training.finetune import FitSettings, finetune
    from trainer.training.head import train_head
    from trainer.training.loop.scores import network_accuracy
    from trainer.training.networks.contract import input_contract
    from trainer.types import TrainingSet

    run = load_run(teacher)
    recipe = replace(_recipe(teacher), seed=seed)
    dataset, contract = read_dataset(run), input_contract(recipe)
    here = Run(run.folder, run.photos, recipe, None)
    train, val, test = (read_pixels(here, dataset, split) for split in ("train", "val", "test"))
    config = replace(recipe.finetune, epochs=1) if quick else recipe.finetune
    network, theirs = read_latest(run), input_contract(run.recipe)
    guide = Teacher(network, recipe.distill, contract=theirs, pixels=read_pixels(run, dataset, "train"))
    student = new_network(recipe, len(dataset.labels))
    data = TrainingSet(train, val, contract)
    train_head(student, data, recipe.head, seed=seed)
    by = guide if way == "distilled" else None
    finetune(student, data, FitSettings(config, recipe.augment, seed, teacher=by, stage=way))
    return {
        "student": network_accuracy(student, test, contract),
        "student_val": network_accuracy(student, val, contract),
        "teacher": network_accuracy(network, read_pixels(run, dataset, "test"), theirs),
        "count": len(test),
    }
