"""Finds the teacher that a recipe names: a backbone to be trained in the run, a finished run, or a Keras model."""

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
    """The settings by which a run trains its teacher: its own, with another network and without label smoothing.

    Smoothed labels teach a network to tell the wrong classes less apart, which is what a student is to learn from it
    (Müller et al., "When Does Label Smoothing Help?", 2019).
    """
    distill = recipe.distill
    model = replace(recipe.model, backbone=distill.teacher, input_size=distill.teacher_input_size)
    if recipe.model.weights not in ("imagenet", "auto", "none"):  # a file is the student's alone
        model = replace(model, weights="imagenet")
    epochs = distill.teacher_epochs or recipe.finetune.epochs
    finetune = replace(recipe.finetune, epochs=epochs, label_smoothing=0.0)
    return replace(recipe, model=model, finetune=finetune)


def check_teacher(recipe: Recipe, labels: tuple[str, ...], *, multi_label: bool = False) -> None:
    """Looks at the teacher before anything is trained.

    Raises:
        RecipeError: There is none of that name, it is not finished, knows other classes, or answers in another way:
            with a sigmoid for photos with one label, or with softmax for photos with several.
    """
    name = recipe.distill.teacher
    if not name or trains_teacher(recipe):
        return
    path = Path(name)
    if not path.exists():
        raise RecipeError(
            f"Expected distill.teacher to be a backbone ({', '.join(BACKBONES)}), a run's folder or a .keras file, "
            f"got {name!r}."
        )
    if path.is_dir():
        run = load_run(path)
        if not run.stage("finetune").exists():
            raise RecipeError(f"Expected the teacher's run in {name} to be trained, but it isn't. Finish it first.")
        theirs = read_dataset(run)
        if theirs.labels != labels:
            raise RecipeError(
                f"Expected a teacher of the classes {', '.join(labels)}, got one of {', '.join(theirs.labels)} "
                f"in {name}."
            )
        answers_each = theirs.multi_label
    else:
        network = _load(path)
        outputs = network.output_shape[-1]
        if outputs != len(labels):
            raise RecipeError(f"Expected a teacher of the same {len(labels)} classes, got one of {outputs} in {name}.")
        answers_each = is_multi_label(network)
    if answers_each != multi_label:
        wanted, got, labels_each = ("a sigmoid", "softmax", "several labels")
        if not multi_label:
            wanted, got, labels_each = got, wanted, "one label"
        raise RecipeError(
            f"Expected a teacher with {wanted} at its end for photos with {labels_each} each, got one with {got} in "
            f"{name}. Train the teacher on the same photos."
        )


def read_teacher(run: Run) -> tuple[Any, InputContract]:
    """The teacher's network and how pictures become its input."""
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
    """The teacher, ready to teach the run's network on the run's training photos."""
    from trainer.training.distillation import Teacher

    network, contract = read_teacher(run)
    pixels = read_pixels(run, read_dataset(run), "train", contract)
    return Teacher(network, config, contract=contract, pixels=pixels, loss=run.recipe.loss)


def _load(path: Path) -> Any:
    try:
        return load_model(path)
    except Exception as error:  # Keras raises many kinds for a file that it can't read
        raise RecipeError(
            f"Expected distill.teacher to be a Keras 2 model, but {path} can't be read as one "
            f"({str(error).splitlines()[0]})."
        ) from error
