"""What the stages of a run leave behind for later ones: the one place that knows their files' names."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.backbones import get_backbone
from trainer.config import Recipe
from trainer.files import read_json, write_json
from trainer.quiet import load_tensorflow
from trainer.run import Run
from trainer.types import Dataset, Epoch, Evaluation, Pixels, Split, Verdict

if TYPE_CHECKING:
    from edge_runtime import InputContract

MODEL_FILES = {"fp32": "model_fp32.tflite", "int8": "model_int8.tflite"}
MEASURED_SPLITS: tuple[Split, ...] = ("val", "test")


def input_size(recipe: Recipe) -> int:
    """Height and width of the network's input, in pixels."""
    return recipe.model.input_size or get_backbone(recipe.model.backbone).input_size


def input_contract(recipe: Recipe) -> InputContract:
    """How a picture becomes the network's input."""
    from edge_runtime import InputContract

    backbone, size = get_backbone(recipe.model.backbone), input_size(recipe)
    return InputContract(size, size, crop=recipe.data.crop, mean=backbone.mean, std=backbone.std)


def cache_folder() -> Path:
    """Of the pixel caches, which may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_trainer"


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Of the data stage."""
    write_json(folder / "dataset.json", dataset.to_dict())


def read_dataset(run: Run) -> Dataset:
    """The photos and their splits, as the run was started with."""
    return Dataset.from_dict(read_json(run.stage("data") / "dataset.json"))


def read_pixels(run: Run, dataset: Dataset, split: Split) -> Pixels:
    """A split's pictures, from the user's cache, which all runs share."""
    from trainer.pixels import load_pixels

    return load_pixels(dataset, split, input_contract(run.recipe), cache_folder())


def write_trained(folder: Path, model: Any, history: list[Epoch], *, pretrained: bool) -> None:
    """Of a training stage."""
    model.save(folder / "model.keras")
    write_json(folder / "training.json", {"pretrained": pretrained, "history": [asdict(epoch) for epoch in history]})


def read_model(run: Run, stage: str) -> Any:
    """The tf_keras model of a training stage."""
    load_tensorflow()
    import tf_keras

    return tf_keras.models.load_model(run.stage(stage) / "model.keras", compile=False)


def was_pretrained(run: Run) -> bool:
    """Whether training began with pretrained weights."""
    return bool(read_json(run.stage("head") / "training.json")["pretrained"])


def read_history(run: Run) -> tuple[Epoch, ...]:
    """The learning curves of all training stages, in order."""
    files = (run.stage(name) / "training.json" for name in ("head", "finetune"))
    return tuple(Epoch(**epoch) for file in files for epoch in read_json(file)["history"])


def write_evaluation(folder: Path, kind: str, evaluation: Evaluation) -> None:
    """Of the evaluate stage."""
    write_json(folder / f"{kind}_{evaluation.split}.json", evaluation.to_dict())


def read_evaluations(run: Run) -> dict[str, dict[str, Evaluation]]:
    """By kind (``"fp32"``, ``"int8"``), then by split."""
    folder = run.stage("evaluate")
    return {
        kind: {split: Evaluation.from_dict(read_json(folder / f"{kind}_{split}.json")) for split in MEASURED_SPLITS}
        for kind in MODEL_FILES
    }


def read_verdict(run: Run) -> Verdict:
    """The gate's decision."""
    return Verdict.from_dict(read_json(run.stage("evaluate") / "verdict.json"))


def read_speed(run: Run) -> dict[str, Any]:
    """The benchmark's report."""
    speed: dict[str, Any] = read_json(run.stage("evaluate") / "speed.json")
    return speed
