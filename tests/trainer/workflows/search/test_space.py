"""What a search may vary, and what of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.config import AugmentConfig, Recipe
from trainer.config.augmentation import SETS
from trainer.errors import RecipeError, SearchError
from trainer.workflows.search.space import Between, Choice, Space, default_space, networks_in, read_space, with_values

RECIPE = Recipe()


class TestDefault:
    @pytest.mark.parametrize("finetune", [False, True])
    def test_holds_the_recipes_own_values_and_can_be_used(self, finetune: bool) -> None:
        space = default_space(RECIPE, finetune=finetune, has_weights=lambda recipe: True)
        own = space.own_values(RECIPE)
        assert own is not None
        space.check(RECIPE, finetune=finetune)
        changed = with_values(RECIPE, own)
        assert changed.updated({"model": {"input_size": 0}}) == RECIPE
        assert Space.from_dict(space.to_dict()) == space

    def test_varies_what_the_trials_depend_on(self) -> None:
        heads = default_space(RECIPE, finetune=False, has_weights=lambda recipe: True)
        expected = {"head.learning_rate", "head.batch_size", "model.dropout", "width", "model.input_size"}
        assert set(heads.axes) == expected
        assert heads.axes["width"] == Choice((0.35, 0.5, 0.75, 1.0))
        assert heads.axes["model.input_size"] == Choice((160, 192, 224))
        whole = default_space(RECIPE, finetune=True, has_weights=lambda recipe: True)
        assert {"finetune.learning_rate", "finetune.label_smoothing", "augmentation"} < set(whole.axes)

    def test_leaves_out_networks_whose_weights_are_not_there(self) -> None:
        def at_224(recipe: Recipe) -> bool:
            return recipe.model.input_size in (0, 224) and recipe.model.backbone.endswith(("0.35", "1.0"))

        space = default_space(RECIPE, finetune=False, has_weights=at_224)
        assert space.axes["width"] == Choice((0.35, 1.0))
        assert "model.input_size" not in space.axes
        assert (
            "width"
            not in default_space(
                Recipe.from_dict({"model": {"backbone": "basic_cnn"}}), finetune=False, has_weights=lambda recipe: True
            ).axes
        )


def test_width_and_augmentation_stand_for_several_settings() -> None:
    assert with_values(RECIPE, {"width": 1.0}).model.backbone == "mobilenet_v2_1.0"
    none = with_values(RECIPE, {"augmentation": 0.0}).augment
    assert (none.rotation, none.brightness, none.scale) == (0.0, 0.0, (1.0, 1.0))
    half = with_values(RECIPE, {"augmentation": 0.5}).augment
    assert half.rotation == RECIPE.augment.rotation / 2
    assert 1.0 < half.scale[1] < RECIPE.augment.scale[1]
    assert with_values(RECIPE, {"augmentation": 1.0}) == RECIPE


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_set_of_augmentation_can_be_stronger_up_to_its_limits(name: str) -> None:
    recipe = RECIPE.updated({"augment": {"set": name}})
    assert with_values(recipe, {"augmentation": 1.0}) == recipe
    none = with_values(recipe, {"augmentation": 0.0}).augment
    assert none == AugmentConfig("none", flip=recipe.augment.flip)
    strong = with_values(recipe, {"augmentation": 1.5}).augment
    assert strong.rotation == 1.5 * recipe.augment.rotation
    assert 0 <= strong.jpeg < 1
    assert with_values(recipe, {"augmentation": 9.0}).augment.rand_augment in (0.0, 10.0)


def test_settings_that_fit_together_are_set_together() -> None:
    grown = RECIPE.updated({"finetune": {"start_size": 0.6}})
    sizes = with_values(grown, {"finetune.train_size": 0.5, "finetune.start_size": 0.3}).finetune
    assert (sizes.start_size, sizes.train_size) == (0.3, 0.5)
    of_a_set = with_values(RECIPE, {"augment.rotation": 3.0, "augment.set": "camera", "augmentation": 2.0}).augment
    assert (of_a_set.rotation, of_a_set.noise) == (6.0, 2 * SETS["camera"]["noise"])


def test_a_set_whose_values_were_changed_is_not_the_recipes_own() -> None:
    space = Space.from_dict({"augment.set": ["default", "camera"]})
    recipe = RECIPE.updated({"augment": {"set": "default"}})
    assert space.own_values(recipe) == {"augment.set": "default"}
    assert space.own_values(recipe.updated({"augment": {"rotation": 3.0}})) is None


def test_the_networks_of_a_space_are_each_width_at_each_size() -> None:
    space = Space.from_dict({"width": [0.35, 1.0], "model.input_size": [160, 224], "model.dropout": [0.1, 0.2]})
    found = {(recipe.model.backbone, recipe.model.input_size) for recipe in networks_in(space, RECIPE)}
    assert found == {(f"mobilenet_v2_{width}", size) for width in (0.35, 1.0) for size in (160, 224)}
    assert networks_in(Space.from_dict({"head.batch_size": [16, 32]}), RECIPE) == (RECIPE,)


def test_is_read_from_a_file_and_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('"head.learning_rate" = { low = 1e-3, high = 1e-2, log = true }\n[head]\nbatch_size = [16, 64]\n')
    values = read_space(str(file), ["head.batch_size=[8]", "head.epochs={low=5,high=9}"])
    assert values is not None
    assert Space.from_dict(values).axes == {
        "head.learning_rate": Between(1e-3, 1e-2, log=True),
        "head.batch_size": Choice((8,)),
        "head.epochs": Between(5, 9),
    }
    assert read_space(None, []) is None
    file.write_text("no toml")
    with pytest.raises(RecipeError, match="TOML"):
        read_space(str(file), [])


@pytest.mark.parametrize(
    ("values", "finetune", "words"),
    [
        ({}, False, "space is empty"),
        ({"head.batch_size": []}, False, "Cannot vary head.batch_size over"),
        ({"head.batch_size": 16}, False, "Cannot vary head.batch_size over"),
        ({"head.learning_rate": {"low": 1.0, "high": 0.5}}, False, "Cannot vary head.learning_rate over"),
        ({"head.learning_rate": {"low": 0.0, "high": 0.5, "log": True}}, False, "Cannot vary head.learning_rate over"),
        ({"head.learning_rate": {"low": 0.0, "high": 0.5}}, False, "greater than 0"),
        ({"head.nothing": [1, 2]}, False, "head.nothing"),
        ({"model.backbone": ["resnet", "basic_cnn"]}, False, "resnet"),
        ({"augmentation": [0.0, 1.0]}, False, "--finetune"),
        ({"finetune.epochs": [1, 2]}, False, "--finetune"),
        ({"quantize.samples": [1, 2]}, True, "no trial depends"),
        ({"seed": [1, 2]}, True, "no trial depends"),
        ({"keep.pictures": [0, 64]}, True, "no trial depends"),
        ({"robustness.photos": [0, 64]}, True, "no trial depends"),
        ({"head.solver": ["adam", "lbfgs"]}, False, "head.solver=adam"),
        ({"finetune.start_size": [0.3, 0.8], "finetune.train_size": [0.5, 1.0]}, True, "finetune.start_size"),
        ({"width": [0.35, 0.4]}, False, "its widths are 0.35, 0.5, 0.75, 1.0"),
    ],
)
def test_what_no_trial_can_use_is_refused(values: dict[str, Any], finetune: bool, words: str) -> None:
    with pytest.raises((SearchError, RecipeError), match=words):
        Space.from_dict(values).check(RECIPE, finetune=finetune)


def test_the_loss_acts_on_the_head_alone_too() -> None:
    space = Space.from_dict({"loss.kind": ["auto", "focal"], "loss.gamma": [1.0, 2.0]})
    space.check(RECIPE, finetune=False)
    assert space.own_values(RECIPE) == {"loss.kind": "auto", "loss.gamma": 2.0}


def test_a_grid_takes_the_ends_and_the_middle_of_a_range() -> None:
    assert Between(1e-4, 1e-2, log=True).grid() == pytest.approx((1e-4, 1e-3, 1e-2))
    assert Between(2, 5).grid() == (2, 4, 5)
    assert Choice((3, 1)).grid() == (3, 1)
