from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config import Recipe
from trainer.config.recipe_file import read_recipe, recipe_names, write_recipe
from trainer.errors import RecipeError


def test_every_built_in_recipe_can_be_read_by_its_name() -> None:
    assert {"default", "demo", "few"} <= set(recipe_names())
    for name in recipe_names():
        assert isinstance(read_recipe(name), Recipe)


def test_the_default_recipe_is_the_documented_defaults() -> None:
    assert read_recipe() == Recipe()


def test_the_demo_never_mirrors_a_digit() -> None:
    assert read_recipe("demo").augment.flip is False


def test_a_finished_runs_recipe_is_read_back_as_it_was(tmp_path: Path) -> None:
    recipe = Recipe().updated(
        {"seed": 7, "augment": {"scale": [0.5, 1.5]}, "model": {"weights": 'a "quoted" \\ path/ü.h5'}}
    )
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_recipe(str(tmp_path / "recipe.toml")) == recipe
    text = (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    assert "[finetune]" in text
    assert f"learning_rate = {recipe.finetune.learning_rate}" in text


@pytest.mark.parametrize(
    ("setting", "section", "name", "value"),
    [
        ("finetune.epochs=3", "finetune", "epochs", 3),
        ("finetune.epochs = 3", "finetune", "epochs", 3),
        ("finetune.learning_rate=1e-2", "finetune", "learning_rate", 0.01),
        ("augment.flip=false", "augment", "flip", False),
        ("augment.scale=[0.9, 1.1]", "augment", "scale", (0.9, 1.1)),
        ("model.backbone=mobilenet_v1_0.25", "model", "backbone", "mobilenet_v1_0.25"),
        ('model.backbone="mobilenet_v1_0.25"', "model", "backbone", "mobilenet_v1_0.25"),
        ("model.weights=/some where/a=b.h5", "model", "weights", "/some where/a=b.h5"),
        (r'model.weights=C:\new "one".h5', "model", "weights", r'C:\new "one".h5'),
        ("data.crop=stretch", "data", "crop", "stretch"),
    ],
)
def test_single_settings_are_changed_on_the_way(setting: str, section: str, name: str, value: object) -> None:
    recipe = read_recipe("default", [setting])
    assert getattr(getattr(recipe, section), name) == value
    assert recipe == Recipe().updated({section: {name: value}})


def test_later_settings_win() -> None:
    assert read_recipe("default", ["seed=1", "seed=2", "seed=3"]).seed == 3


@pytest.mark.parametrize("setting", ["", "finetune.epochs", "=3", "finetune.epochs=", "finetune.epochs= "])
def test_what_is_no_setting_is_refused_with_an_example(setting: str) -> None:
    with pytest.raises(RecipeError, match=r"for example finetune\.epochs=10"):
        read_recipe("default", [setting])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("finetune.epoch=3", "finetune.epoch'"),
        ("finetune.epochs=three", "finetune.epochs must be an integer"),
        ("finetune=3", "table of settings"),
        ("finetune.epochs=-2", "at least 0"),
        ("fine tune.epochs=3", "fine tune"),
        ("seed.x=3", "seed must be an integer"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_a_sentence(setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_recipe("default", [setting])


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"Recipe 'defualt' not found\. .* one of default, demo, few"):
        read_recipe("defualt")


@pytest.mark.parametrize("content", [b"[finetune", b"epochs: 3", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        read_recipe(str(path))


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Check the path"):
        read_recipe(str(tmp_path))
