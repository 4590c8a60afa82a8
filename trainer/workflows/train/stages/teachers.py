"""Find the teacher that a recipe names: a backbone to train in the run, a finished run, or a Keras model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import RecipeError
from trainer.runs.artifacts import read_dataset, read_latest, read_pixels
from trainer.runs.run import Run, load_run
from trainer.training.networks.backbones import BACKBONES, is_multi_label
from trainer.training.networks.contract import input_contract, load_model

if TYPE_CHECKING:
    from edge_runtime import InputContract
    from trainer.config import DistillConfig, Recipe
    from trainer.training.distillation import Teacher


def trains_teacher(recipe: Recipe) -> bool:
    """Whether the run itself trains the teacher."""
    return recipe.distill.teacher in BACKBONES


def teacher_recipe(recipe: Recipe) -> Recipe:
    """Return the settings for training the teacher: the run's own, with another network and no label smoothing.

    Label smoothing erases the differences between wrong classes, which a student learns from (Müller et al., "When Does
    Label Smoothing Help?", 2019).
    """
    distill = recipe.distill
    model = replace(recipe.model, backbone=distill.teacher, input_size=distill.teacher_input_size)
    if recipe.model.weights not in ("imagenet", "auto", "none"):  # a weights file is for the student only
        model = replace(model, weights="imagenet")
    epochs = distill.teacher_epochs or recipe.finetune.epochs
    finetune = replace(recipe.finetune, epochs=epochs, label_smoothing=0.0)
    return replace(recipe, model=model, finetune=finetune)


def check_teacher(recipe: Recipe, labels: tuple[str, ...], *, multi_label: bool = False) -> None:
    """Check the teacher before anything is trained.

    Raises:
        RecipeError: The teacher does not exist, is not fully trained, has other classes, or ends in a sigmoid for
            photos with one label, or in softmax for multi-label photos.
    """
    name = recipe.distill.teacher
    if not name or trains_teacher(recipe):
        return
    path = Path(name)
    if not path.exists():
        raise RecipeError(
            f"distill.teacher {name!r} is neither a backbone nor an existing run folder or .keras file. "
            f"Backbones: {', '.join(BACKBONES)}."
        )
    if path.is_dir():
        run = load_run(path)
        if not run.stage("finetune").exists():
            raise RecipeError(f"The teacher's run in {name} is not fully trained. Run: edge-trainer resume {name}")
        dataset = read_dataset(run)
        if dataset.labels != labels:
            raise RecipeError(
                f"The teacher in {name} has the classes {', '.join(dataset.labels)}, but the photos have "
                f"{', '.join(labels)}. Train the teacher on the same classes."
            )
        teacher_multi_label = dataset.multi_label
    else:
        network = _load(path)
        outputs = network.output_shape[-1]
        if outputs != len(labels):
            raise RecipeError(
                f"Expected a teacher with {len(labels)} outputs for {len(labels)} classes, got {outputs} in {name}."
            )
        teacher_multi_label = is_multi_label(network)
    if teacher_multi_label != multi_label:
        found, labels_each = ("softmax", "several labels") if multi_label else ("a sigmoid", "one label")
        raise RecipeError(
            f"The teacher in {name} ends in {found}, which does not fit photos with {labels_each} each. "
            "Train the teacher on the same photos."
        )


def read_teacher(run: Run) -> tuple[Any, InputContract]:
    """Return the teacher's network and its input contract."""
    recipe = run.recipe
    if trains_teacher(recipe):
        return load_model(run.stage("teacher") / "model.keras"), input_contract(teacher_recipe(recipe))
    path = Path(recipe.distill.teacher)
    if path.is_dir():
        other = load_run(path)
        return read_latest(other), input_contract(other.recipe)
    network, contract = _load(path), input_contract(recipe)
    height, width = network.input_shape[1:3]
    return network, replace(contract, height=height, width=width)


def open_teacher(run: Run, config: DistillConfig) -> Teacher:
    """Open the teacher to distill its predictions on the run's training photos."""
    from trainer.training.distillation import Teacher

    network, contract = read_teacher(run)
    pixels = read_pixels(run, read_dataset(run), "train", contract)
    return Teacher(network, config, contract=contract, pixels=pixels, loss=run.recipe.loss)


def _load(path: Path) -> Any:
    try:
        return load_model(path)
    except Exception as error:  # Keras raises many types of errors for unreadable files
        raise RecipeError(
            f"distill.teacher {path} cannot be loaded as a Keras 2 model: {str(error).splitlines()[0]}"
        ) from error
