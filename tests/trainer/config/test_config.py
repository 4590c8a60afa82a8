from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import (
    AugmentConfig,
    DataConfig,
    FinetuneConfig,
    GateConfig,
    HeadConfig,
    LossConfig,
    ModelConfig,
    QuantizeConfig,
    Recipe,
)
from trainer.config.augmentation import SETS
from trainer.errors import RecipeError, TrainerError

recipes = st.builds(
    Recipe,
    seed=st.integers(0, 2**32 - 1),
    data=st.builds(DataConfig, val_fraction=st.floats(0, 0.89), crop=st.sampled_from(["center", "stretch"])),
    model=st.builds(ModelConfig, backbone=st.text(), input_size=st.just(0) | st.integers(32, 512)),
    head=st.builds(HeadConfig, epochs=st.integers(0, 2**63 - 1), learning_rate=st.floats(1e-9, 10)),
    finetune=st.builds(FinetuneConfig, unfreeze=st.floats(0.01, 1)),
    augment=st.builds(AugmentConfig, scale=st.tuples(st.floats(0.1, 1), st.floats(1, 3)), flip=st.booleans()),
    quantize=st.builds(QuantizeConfig, io=st.sampled_from(["int8", "uint8"])),
    gate=st.builds(GateConfig, max_drop=st.floats(0, 100)),
)


@given(recipes)
def test_a_recipe_comes_back_from_its_tables(recipe: Recipe) -> None:
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@given(recipes, st.integers(0, 2**32 - 1), st.integers(0, 500))
def test_updating_changes_what_is_named_and_nothing_else(recipe: Recipe, seed: int, epochs: int) -> None:
    changed = recipe.updated({"seed": seed, "finetune": {"epochs": epochs}})
    assert (changed.seed, changed.finetune.epochs) == (seed, epochs)
    back = changed.updated({"seed": recipe.seed, "finetune": {"epochs": recipe.finetune.epochs}})
    assert back == recipe


def test_what_is_not_named_keeps_its_default() -> None:
    assert Recipe.from_dict({}) == Recipe()
    assert Recipe.from_dict({"gate": {"max_drop": 2.5}}).gate == GateConfig(max_drop=2.5)


def test_whole_numbers_and_lists_are_taken_for_what_toml_cannot_tell_apart() -> None:
    recipe = Recipe.from_dict({"gate": {"max_drop": 2}, "augment": {"scale": [1, 2]}})
    assert repr(recipe.gate.max_drop) == "2.0"
    assert recipe.augment.scale == (1.0, 2.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 3}, "Unknown setting 'epochs'. Use one of seed, data, model, "),
        ({"finetune": {"epoch": 3}}, r"Unknown setting 'finetune\.epoch'\. Did you mean finetune\.epochs\?"),
        ({"finetune": 3}, "finetune must be a table of settings, got 3"),
        ({"finetune": {"epochs": "many"}}, r"finetune\.epochs must be an integer, got 'many'"),
        ({"finetune": {"epochs": 2.5}}, r"finetune\.epochs must be an integer"),
        ({"finetune": {"epochs": True}}, r"finetune\.epochs must be an integer"),
        ({"finetune": {"learning_rate": True}}, r"finetune\.learning_rate must be a number"),
        ({"augment": {"flip": 1}}, r"augment\.flip must be true or false"),
        ({"augment": {"scale": ["a", "b"]}}, r"augment\.scale must be a list, such as \[1\.0, 2\.2\], got"),
        ({"model": {"backbone": 3}}, r"model\.backbone must be a string"),
        ({"seed": None}, "seed must be an integer"),
    ],
)
def test_an_unknown_name_or_a_wrong_type_is_refused_by_its_full_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    ("section", "name", "values"),
    [
        ("data", "val_fraction", [-0.1, 0.9]),
        ("data", "test_fraction", [-0.1, 1.0]),
        ("data", "max_unreadable", [-0.01]),
        ("data", "crop", ["left"]),
        ("model", "input_size", [-1, 16, 1024]),
        ("model", "dropout", [-0.1, 1.0]),
        ("head", "epochs", [-1]),
        ("head", "batch_size", [0]),
        ("head", "learning_rate", [0.0, -1.0, float("nan")]),
        ("head", "patience", [0]),
        ("finetune", "epochs", [-2]),
        ("finetune", "batch_size", [0]),
        ("finetune", "unfreeze", [0.0, 1.1]),
        ("finetune", "learning_rate", [0.0]),
        ("finetune", "warmup_epochs", [-1.0]),
        ("finetune", "label_smoothing", [-0.1, 1.0]),
        ("finetune", "weight_decay", [-1e-9]),
        ("finetune", "patience", [0]),
        ("augment", "rotation", [-1.0, 181.0]),
        ("augment", "shift", [1.0]),
        ("augment", "scale", [[1.2, 0.8], [0.0, 1.0], [1.0], [1.0, 1.0, 1.0]]),
        ("augment", "brightness", [-0.1, 1.0]),
        ("augment", "set", ["heavy"]),
        ("augment", "exposure", [-1.0, 4.1]),
        ("augment", "jpeg", [1.0]),
        ("augment", "mixup", [-0.2, float("nan"), float("inf")]),
        ("augment", "rand_augment", [11.0]),
        ("quantize", "samples", [-1]),
        ("quantize", "io", ["int4"]),
        ("quantize", "ways", [[], ["best"], ["plain", "best"]]),
        ("gate", "max_drop", [-1.0, 101.0, float("nan")]),
        ("gate", "min_agreement", [-1.0, 101.0]),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_full_name(section: str, name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(RecipeError, match=rf"^{section}\.{name} must be .*, got "):
            Recipe.from_dict({section: {name: value}})


@pytest.mark.parametrize("name", SETS)
def test_a_ready_made_set_gives_every_value_and_single_settings_differ_from_it(name: str) -> None:
    assert set(SETS[name]) == {field.name for field in fields(AugmentConfig)} - {"set"}
    stored = Recipe.from_dict({"augment": {"noise": 0.5, "set": name, "rotation": 3}}).to_dict()["augment"]
    assert stored == {**SETS[name], "set": name, "noise": 0.5, "rotation": 3.0}
    assert Recipe.from_dict({"augment": stored}).augment == AugmentConfig(set=name, noise=0.5, rotation=3.0)


def test_a_set_that_is_named_later_takes_the_place_of_all_values() -> None:
    recipe = Recipe.from_dict({"augment": {"set": "camera", "noise": 0.5}})
    assert recipe.updated({"augment": {"flip": False}}).augment.noise == 0.5
    assert recipe.updated({"augment": {"set": "light"}}).augment == AugmentConfig(set="light")


def test_a_recipe_from_before_there_were_sets_keeps_its_values() -> None:
    old = {
        **{"rotation": 10.0, "shift": 0.05, "scale": [0.85, 1.15], "flip": False},
        **{"brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
    }
    assert Recipe.from_dict({"augment": old}).augment == AugmentConfig(set="digits")


def test_every_setting_is_checked_or_harmless() -> None:
    """Sections are frozen, so a valid recipe stays valid."""
    recipe = Recipe()
    for field in fields(recipe):
        section = getattr(recipe, field.name)
        if is_dataclass(section):
            with pytest.raises(AttributeError):
                setattr(section, fields(section)[0].name, None)


def test_the_error_is_one_of_the_trainers_and_a_value_error() -> None:
    assert issubclass(RecipeError, TrainerError)
    assert issubclass(RecipeError, ValueError)


@pytest.mark.parametrize("name", sorted(SETS))
@given(count=st.integers(0, 5000), later=st.integers(0, 5000))
def test_what_is_left_to_the_photos_is_decided_once(name: str, count: int, later: int) -> None:
    decided = Recipe(augment=AugmentConfig(set=name)).for_photos(count, multi_label=False)

    assert 0 < decided.finetune.train_size <= 1
    assert decided.finetune.epochs > 0
    assert decided.head.solver == ("lbfgs" if count < 1000 else "adam")
    assert decided.for_photos(later, multi_label=False) == decided


@pytest.mark.parametrize("name", ["default", "strong", "camera", "light"])
def test_few_photos_are_trained_on_at_full_size_with_things_as_large_as_ever(name: str) -> None:
    recipe = Recipe(augment=AugmentConfig(set=name))
    few, many = recipe.for_photos(999, multi_label=False), recipe.for_photos(1000, multi_label=False)

    assert (few.finetune.train_size, many.finetune.train_size) == (1.0, 0.7)
    assert few.augment.scale == (1.0, pytest.approx(0.7 * many.augment.scale[1]))
    assert many.augment == recipe.augment


def test_few_photos_are_changed_by_a_set_of_their_own_unless_another_is_named() -> None:
    def decided(augment: AugmentConfig, count: int, **finetune: float) -> AugmentConfig:
        recipe = Recipe(augment=augment).updated({"finetune": finetune})
        return recipe.for_photos(count, multi_label=False).augment

    few, many = decided(AugmentConfig(), 999), decided(AugmentConfig(), 1000)
    assert (few, few.set) == (AugmentConfig(set="few"), "few")
    assert (many, many.set) == (AugmentConfig(set="default"), "default")
    assert decided(AugmentConfig(set="default"), 999).rand_augment == 0
    assert decided(AugmentConfig(flip=False), 999) == AugmentConfig(set="few", flip=False)
    assert decided(AugmentConfig(), 999, train_size=0.7) == many  # which is zoomed into


@pytest.mark.parametrize("name", ["none", "digits", "few"])
def test_pictures_that_are_not_zoomed_into_are_trained_on_at_full_size(name: str) -> None:
    recipe = Recipe(augment=AugmentConfig(set=name))

    for count in (10, 10_000):
        decided = recipe.for_photos(count, multi_label=False)
        assert decided.finetune.train_size == 1.0
        assert decided.augment == recipe.augment


def test_pictures_cannot_begin_larger_than_they_end() -> None:
    growing = Recipe(finetune=FinetuneConfig(start_size=0.8))

    assert growing.for_photos(10, multi_label=False).finetune.train_size == 1.0
    with pytest.raises(RecipeError, match=r"between 0 and finetune.train_size \(0\.7\), got 0\.8"):
        growing.for_photos(10_000, multi_label=False)


@given(count=st.integers(0, 5000), more=st.integers(0, 5000))
def test_fewer_photos_are_looked_at_more_often(count: int, more: int) -> None:
    few, many = (Recipe().for_photos(photos, multi_label=False).finetune for photos in (count, count + more))

    assert 32 <= many.epochs <= few.epochs <= 128
    assert few.patience / few.epochs == pytest.approx(15 / 32, abs=0.5 / 32)
    assert count < 250 or few.epochs * count >= 32 * min(count, 1000) - count


def test_what_is_asked_for_stays() -> None:
    recipe = Recipe(head=HeadConfig(solver="adam"), finetune=FinetuneConfig(epochs=4, train_size=0.5))

    assert recipe.for_photos(10, multi_label=False) == recipe.for_photos(10_000, multi_label=False) == recipe


def test_few_photos_have_a_regression_for_a_head_unless_something_else_is_asked_for() -> None:
    def solver(recipe: Recipe, *, multi_label: bool = False) -> str:
        return recipe.for_photos(999, multi_label=multi_label).head.solver

    assert solver(Recipe()) == "lbfgs"
    assert solver(Recipe(), multi_label=True) == "adam"
    assert solver(Recipe(loss=LossConfig(class_weights="balanced"))) == "adam"
    assert solver(Recipe(head=HeadConfig(epochs=60))) == "adam"
    assert Recipe(head=HeadConfig(solver="lbfgs")).for_photos(10_000, multi_label=False).head.solver == "lbfgs"
