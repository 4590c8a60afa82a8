"""Classes are added to a finished run whose photos are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from edge_runtime import Classifier, verify_model
from edge_runtime.golden import all_passed
from tests.tiny import LABELS, picture
from trainer.cli import main
from trainer.config import Recipe
from trainer.errors import DatasetError, OutputFolderError
from trainer.kept import read_kept
from trainer.pipeline import RunResult, extend, train
from trainer.run import load_run

BLUE, GREEN, RED = LABELS
RECIPE = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
        "head": {"learning_rate": 0.03},
        "finetune": {"epochs": 6, "patience": 6, "learning_rate": 3e-3},
        "quantize": {"samples": 24},
        "gate": {"max_drop": 100.0, "min_agreement": 0.0},
        "keep": {"pictures": 48},
    }
)


def write(folder: Path, label: str, seeds: range) -> None:
    (folder / label).mkdir(parents=True)
    for seed in seeds:
        cv2.imwrite(str(folder / label / f"{seed:03}.png"), picture(label, seed=seed)[:, :, ::-1])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extension")


@pytest.fixture(scope="module")
def first(here: Path) -> RunResult:
    """Of blue and green; the photos and the cache of their pixels are gone."""
    photos, cache = here / "photos", here / "cache"
    for label in (BLUE, GREEN):
        write(photos, label, range(60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        result = train(photos, here / "first", RECIPE)
    shutil.rmtree(photos)
    shutil.rmtree(cache)
    return result


@pytest.fixture(scope="module")
def more(here: Path) -> Path:
    """Photos of red, which is new, and a few more of green."""
    write(here / "more", RED, range(40))
    write(here / "more", GREEN, range(200, 206))
    return here / "more"


@pytest.fixture(scope="module")
def extended(first: RunResult, more: Path, here: Path) -> RunResult:
    return extend(first.int8, more, here / "extended")


def test_a_run_keeps_features_of_all_photos_and_copies_of_some(first: RunResult) -> None:
    kept = read_kept(load_run(first.fp32.parent))
    assert len(kept.photos) == len(kept.features) == 120
    assert {split: len(kept.split(split)) for split in ("train", "val", "test")} == {"train": 72, "val": 24, "test": 24}
    assert [photo.split for photo in kept.copies] == ["train"] * 12 + ["val"] * 24 + ["test"] * 12
    assert all((kept.folder / photo.path).is_file() for photo in kept.copies)


def test_the_extended_model_knows_old_and_new_classes_on_the_device(extended: RunResult) -> None:
    for path in (extended.fp32, extended.int8):
        with Classifier(path) as classifier:
            assert classifier.labels == LABELS
            assert all_passed(verify_model(classifier))
            answers = [
                classifier.classify(picture(label, seed=seed), color="rgb", top_k=1).categories[0].label == label
                for label in LABELS
                for seed in range(300, 320)
            ]
            assert sum(answers) >= 0.75 * len(answers)


def test_the_network_below_the_head_stays_as_it_was(first: RunResult, extended: RunResult) -> None:
    from trainer.artifacts import read_latest

    before, after = (read_latest(load_run(result.fp32.parent)).get_weights() for result in (first, extended))
    assert all((a == b).all() for a, b in zip(before[:-2], after[:-2], strict=True))
    assert after[-1].shape == (3,)


def test_it_is_told_how_the_known_classes_fare(extended: RunResult) -> None:
    assert extended.extension is not None
    by_label = {one.label: one for one in extended.extension.classes}
    assert list(by_label) == list(LABELS)
    assert (by_label[BLUE].added, by_label[GREEN].added, by_label[RED].added) == (0, 6, 40)
    assert (by_label[BLUE].count, by_label[RED].count) == (12, 8)
    assert by_label[RED].before is None
    assert extended.extension.learned == 72
    page = extended.report.read_text()
    assert "An extension: the head learned the known classes" in page
    assert "New: red" in page


def test_an_extension_can_be_stopped_and_extended_in_turn(extended: RunResult, here: Path) -> None:
    folder = extended.fp32.parent
    shutil.rmtree(folder / "stages" / "report")
    lines: list[str] = []
    request = json.loads((folder / "run.json").read_text())
    again = train(request["photos"], folder, Recipe.from_dict(request["recipe"]), announce=lines.append)
    assert [line.endswith("done before") for line in lines] == [True] * 5 + [False]
    assert again.extension == extended.extension
    kept = read_kept(load_run(folder))
    assert len(kept.photos) == len(kept.features) == 120 + 46
    assert {photo.label for photo in kept.copies} == {0, 1, 2}


def test_what_cannot_be_extended_is_refused(first: RunResult, here: Path, more: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match="Name the run that it was made in"):
        extend(shutil.copy(first.int8, tmp_path), more, tmp_path / "run")
    forgotten = tmp_path / "forgotten"
    shutil.copytree(first.fp32.parent, forgotten)
    shutil.rmtree(forgotten / "stages" / "keep")
    with pytest.raises(OutputFolderError, match="got neither"):
        extend(forgotten, more, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_photos_that_are_known_already_teach_nothing(extended: RunResult, more: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="knows all 46"):
        extend(extended.fp32.parent, more, tmp_path / "run")


def test_the_command_tells_the_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extend", str(tmp_path), str(tmp_path), "--to", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith("edge-trainer: Expected the folder of a run or a model file in it")
