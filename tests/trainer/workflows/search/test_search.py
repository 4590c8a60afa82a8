"""A search over a tiny network's head on features that are computed once: its trials, its files, how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.tiny import LABELS, write_photos
from trainer.cli.main import main
from trainer.config import AugmentConfig, Recipe
from trainer.config.recipe_file import read_recipe, write_recipe
from trainer.config.search import SearchConfig
from trainer.errors import OutputFolderError, PackagesError, RecipeError, SearchError
from trainer.storage import locked
from trainer.workflows.search.outcome import format_outcome
from trainer.workflows.search.search import search_recipe
from trainer.workflows.search.space import with_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.workflows.search.outcome import Outcome

pytestmark = pytest.mark.slow

EPOCHS = 4
CONFIG = SearchConfig(trials=6, sampler="random")
# The last learning rate learns nothing. With this seed it is drawn for the sixth trial alone, the first that may be
# ended early: a median takes five.
SPACE = {"head.learning_rate": [0.02, 0.04, 1e-7], "head.batch_size": [16, 32]}
SEED = 6


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own, in which nothing lies that a search didn't leave there."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "edge_trainer"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 40)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Of a network whose "pretrained" weights were drawn."""
    import tf_keras

    from trainer.training.networks.backbones import FEATURES_LAYER, build_model, get_backbone

    model = build_model(get_backbone("basic_cnn"), num_classes=3, input_size=32)
    names = [layer.name for layer in model.layers]
    body = tf_keras.Model(model.input, model.layers[names.index(FEATURES_LAYER) - 1].output)
    weights = tmp_path_factory.mktemp("weights") / "basic_cnn.h5"
    body.save_weights(str(weights))
    return Recipe.from_dict(
        {
            "seed": SEED,
            "model": {"backbone": "basic_cnn", "input_size": 32, "weights": str(weights)},
            "head": {"epochs": EPOCHS, "learning_rate": 0.02, "batch_size": 16},
        }
    )


@pytest.fixture(scope="module")
def outcome(photos: Path, recipe: Recipe, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return search_recipe(photos, tmp_path_factory.mktemp("searches") / "first", recipe, CONFIG, space=SPACE)


def test_begins_with_the_recipes_own_values_and_ends_at_or_above_them(outcome: Outcome, recipe: Recipe) -> None:
    assert len(outcome.trials) == 6
    assert outcome.own == outcome.trials[0]
    assert outcome.own.values == {"head.learning_rate": 0.02, "head.batch_size": 16}
    assert outcome.best.accuracy == max(t.accuracy for t in outcome.trials if t.state == "complete")
    by_epochs = recipe.updated({"head": {"solver": "adam"}})  # as the trials were trained
    assert read_recipe(str(outcome.recipe)) == with_values(by_epochs, outcome.best.values)


def test_ends_bad_trials_early(outcome: Outcome) -> None:
    *others, last = outcome.trials
    assert last.values["head.learning_rate"] == 1e-7
    assert last.state == "pruned"
    assert len(last.epochs) < EPOCHS
    assert [(trial.state, len(trial.epochs)) for trial in others] == [("complete", EPOCHS)] * 5


def test_never_looks_at_the_test_split_and_computes_features_once(outcome: Outcome, cache: Path) -> None:
    splits = sorted(path.name.split("-")[0] for path in cache.iterdir())
    assert splits == ["features", "features", "train", "val"]


def test_writes_down_what_it_found(outcome: Outcome) -> None:
    record, page = outcome.pages
    found = json.loads(record.read_text())
    assert found["best"] == outcome.best.number
    assert [trial["accuracy"] for trial in found["trials"]] == [trial.accuracy for trial in outcome.trials]
    assert found["space"] == SPACE
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/svg+xml") >= 3
    assert "head.learning_rate" in html
    table = format_outcome(outcome)
    assert "the recipe's own" in table
    assert "pruned after" in table


def test_the_same_command_goes_on(
    outcome: Outcome, photos: Path, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = outcome.recipe.parent
    write_recipe(recipe, tmp_path / "own.toml")
    command = ["search", str(photos), "--to", str(folder), "--recipe", str(tmp_path / "own.toml")]
    command += ["--vary", "head.learning_rate=[0.02,0.04,1e-7]", "--vary", "head.batch_size=[16,32]"]
    command += ["--sampler", "random"]
    assert main([*command, "--trials", "7"]) == 0
    out, err = capsys.readouterr()
    assert str(outcome.recipe) in out
    assert "[7/7] trial 6" in err
    trials = json.loads((folder / "search.json").read_text())["trials"]
    assert [trial["values"] for trial in trials[:6]] == [trial.values for trial in outcome.trials]
    assert main([*command, "--trials", "7"]) == 0
    assert "trial" not in capsys.readouterr().err


def test_a_search_that_was_killed_goes_on(photos: Path, recipe: Recipe, tmp_path: Path, cache: Path) -> None:
    write_recipe(recipe, tmp_path / "own.toml")
    folder = tmp_path / "search"
    script = (
        "import os, signal, sys; from trainer.workflows.search import trials; from trainer.cli.main import main\n"
        "trials.train_trial = lambda *given, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])"
    )
    command = ["search", str(photos), "--to", str(folder), "--recipe", str(tmp_path / "own.toml"), "--trials", "2"]
    killed = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert main(command) == 0
    found = json.loads((folder / "search.json").read_text())
    assert [(trial["number"], trial["own"]) for trial in found["trials"]] == [(1, True), (2, False)]


def test_two_searches_do_not_share_a_folder(photos: Path, recipe: Recipe, outcome: Outcome) -> None:
    with locked(outcome.recipe.parent), pytest.raises(OutputFolderError, match="Another process is using"):
        search_recipe(photos, outcome.recipe.parent, recipe, CONFIG, space=SPACE)


def test_machines_share_a_study_by_its_name(
    outcome: Outcome, photos: Path, recipe: Recipe, tmp_path: Path, cache: Path
) -> None:
    storage = f"sqlite:///{outcome.recipe.parent / 'study.db'}"
    config = replace(CONFIG, storage=storage, study=photos.name)
    shared = search_recipe(photos, tmp_path / "second", recipe, config, space=SPACE)
    assert shared.trials[:6] == outcome.trials
    assert not (tmp_path / "second" / "study.db").exists()


@pytest.mark.parametrize(
    ("changed", "space", "words"),
    [
        ({}, {"head.batch_size": [16, 64]}, "another space"),
        ({"head": {"patience": 3}}, SPACE, "another recipe"),
    ],
)
def test_another_study_is_not_gone_on_with(
    outcome: Outcome,
    photos: Path,
    recipe: Recipe,
    changed: dict[str, dict[str, int]],
    space: dict[str, list[int]],
    words: str,
) -> None:
    with pytest.raises(SearchError, match=words):
        search_recipe(photos, outcome.recipe.parent, recipe.updated(changed), CONFIG, space=space)


def test_few_photos_of_several_labels_need_no_settings(recipe: Recipe, tmp_path: Path) -> None:
    photos, first = write_photos(tmp_path / "photos", 12), LABELS[0]
    rows = [f"{label}/{n:03}.png,{label}|{first}" for label in LABELS[1:] for n in range(12)]
    rows += [f"{first}/{n:03}.png,{first}" for n in range(12)]
    (photos / "list.csv").write_text("\n".join(["path,label", *rows]))
    own, once = Recipe(seed=SEED, model=recipe.model), SearchConfig(trials=1)

    found = search_recipe(photos / "list.csv", tmp_path / "to", own, once, space={"head.learning_rate": [0.003]})

    assert found.multi_label
    assert read_recipe(str(found.recipe)).head.solver == "adam"


def test_what_cannot_work_is_told_before_anything_is_written(
    photos: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(kind: type[Exception], recipe: Recipe, config: SearchConfig = CONFIG, to: Path = tmp_path / "to") -> str:
        with pytest.raises(kind) as error:
            search_recipe(photos, to, recipe, config, space=SPACE)
        assert not (tmp_path / "to").exists()
        return str(error.value)

    assert "--finetune" in told(SearchError, recipe.updated({"model": {"weights": "none"}}))
    assert "extend.run" in told(SearchError, recipe.updated({"extend": {"run": "another"}}))
    assert "loss.kind" in told(RecipeError, recipe.updated({"loss": {"kind": "binary_crossentropy"}}))
    assert "head.solver=adam" in told(SearchError, recipe.updated({"head": {"solver": "lbfgs"}}))
    nowhere = replace(CONFIG, storage=f"sqlite:///{tmp_path}/no/where.db")
    assert "where.db" in told(SearchError, recipe, nowhere)
    reason = told(SearchError, recipe, replace(CONFIG, storage="nosuch://me:secret@host/db"))
    assert "secret" not in reason
    assert "contains other files" in told(OutputFolderError, recipe, to=photos)
    for wrong in ({"trials": 0}, {"sampler": "best"}, {"objective": "speed"}, {"pruner": "all"}):
        with pytest.raises(RecipeError, match=str(next(iter(wrong.values())))):
            replace(CONFIG, **wrong)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'edge-image-sdk[search]'" in told(PackagesError, recipe)


def test_accuracy_and_latency_make_a_front(photos: Path, recipe: Recipe, tmp_path: Path, cache: Path) -> None:
    config = SearchConfig(trials=9, objective="accuracy+latency", sampler="grid")
    found = search_recipe(photos, tmp_path / "front", recipe, config, space={"model.input_size": [32, 64]})
    assert {trial.values["model.input_size"] for trial in found.trials} == {32, 64}
    assert len(found.trials) <= 3  # a grid ends when each combination was tried
    latencies = {trial.values["model.input_size"]: trial.latency_ms for trial in found.trials}
    macs = {trial.values["model.input_size"]: trial.macs for trial in found.trials}
    assert None not in latencies.values()
    assert macs[64] > 3 * macs[32]
    assert {trial.number for trial in found.front} <= {trial.number for trial in found.trials}
    for trial in found.front:
        chosen = read_recipe(str(tmp_path / "front" / f"trial-{trial.number}.toml"))
        assert chosen.model.input_size == trial.values["model.input_size"]


def test_a_size_that_many_photos_do_not_allow_is_told_before_the_first_trial(recipe: Recipe, tmp_path: Path) -> None:
    many = write_photos(tmp_path / "many", 500)  # of each of three classes, of which 1,050 train
    config = SearchConfig(trials=2, finetune_epochs=1)
    with pytest.raises(RecipeError, match=r"start_size must be between 0 and finetune.train_size \(0\.7\), got 0\.8"):
        search_recipe(many, tmp_path / "to", recipe, config, space={"finetune.start_size": [0.0, 0.8]})
    assert not (tmp_path / "to").exists()


def test_trials_may_train_the_whole_network(photos: Path, recipe: Recipe, tmp_path: Path, cache: Path) -> None:
    config = SearchConfig(trials=1, finetune_epochs=2)
    found = search_recipe(photos, tmp_path / "whole", recipe, config, space={"augmentation": [0.0, 1.0]})
    assert [len(trial.epochs) for trial in found.trials] == [2]
    assert found.best.values == {"augmentation": 1.0}
    best = read_recipe(str(found.recipe))
    assert best.finetune.epochs == recipe.finetune.epochs
    assert (best.augment.set, best.augment) == ("few", AugmentConfig(set="few"))


def test_the_changes_that_few_photos_have_are_made_weaker(
    photos: Path, recipe: Recipe, tmp_path: Path, cache: Path
) -> None:
    config = SearchConfig(trials=1, finetune_epochs=1)
    found = search_recipe(photos, tmp_path / "weaker", recipe, config, space={"augmentation": [0.5]})
    assert read_recipe(str(found.recipe)).augment == AugmentConfig(set="few").at_strength(0.5)


def test_photos_that_show_several_classes_have_the_accuracy_of_all_answers(
    photos: Path, recipe: Recipe, tmp_path: Path, cache: Path
) -> None:
    lines = []
    for label in LABELS:
        for index, path in enumerate(sorted((photos / label).iterdir())[:20]):
            shown = [label, "even"] if index % 2 == 0 else [label]
            lines.append(json.dumps({"path": str(path), "labels": shown}))
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    config = SearchConfig(trials=3, sampler="grid")
    space: dict[str, list[Any]] = {"loss.kind": ["auto", "focal"], "loss.gamma": [2.0]}
    found = search_recipe(tmp_path / "list.jsonl", tmp_path / "several", recipe, config, space=space)
    answers = (len(LABELS) + 1) * found.validation_photos
    assert {trial.values["loss.kind"] for trial in found.trials} == {"auto", "focal"}
    assert all((answers * trial.accuracy) == pytest.approx(round(answers * trial.accuracy)) for trial in found.trials)
    by_loss = {trial.values["loss.kind"]: trial.epochs for trial in found.trials}
    assert by_loss["auto"] != by_loss["focal"]
    assert "of the labels of" in format_outcome(found)
    space = {"loss.kind": ["auto", "categorical_crossentropy"]}
    with pytest.raises(RecipeError, match=r"loss\.kind"):
        search_recipe(tmp_path / "list.jsonl", tmp_path / "wrong", recipe, config, space=space)
    assert not (tmp_path / "wrong").exists()
