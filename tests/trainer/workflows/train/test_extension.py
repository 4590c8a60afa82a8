"""Add classes to a finished run whose photos are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest

from edge_runtime import Classifier, verify_model
from edge_runtime.inference.golden import all_passed
from tests.support.photos import photos, scene
from tests.support.tiny import LABELS, picture
from trainer.cli.main import main
from trainer.config import Recipe
from trainer.errors import DatasetError, OutputFolderError
from trainer.runs.run import load_run
from trainer.types import SPLITS, RunResult
from trainer.workflows.train.extend.kept_features import read_kept
from trainer.workflows.train.pipeline import extend, train

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW = 20, "scene"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder and an empty cache of pixels."""
    folder = tmp_path_factory.mktemp("extension")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def first(tiny_run: RunResult, here: Path) -> Path:
    """A run whose photos are gone."""
    folder = here / "first"
    shutil.copytree(tiny_run.fp32.parent, folder)
    for file, name in ((folder / "run.json", "photos"), (folder / "stages/data/dataset.json", "root")):
        file.write_text(json.dumps({**json.loads(file.read_text()), name: str(here / "gone")}))
    return folder


@pytest.fixture(scope="module")
def more(here: Path) -> Path:
    """Photos of a new class, and a few more of a known one."""
    photos(here / "more", {NEW: 40})
    (here / "more" / LABELS[1]).mkdir()
    for seed in range(200, 206):
        cv2.imwrite(str(here / "more" / LABELS[1] / f"{seed}.png"), picture(LABELS[1], seed=seed)[:, :, ::-1])
    return here / "more"


@pytest.fixture(scope="module")
def extended(first: Path, more: Path, here: Path) -> RunResult:
    return extend(first / "model_int8.tflite", more, here / "extended")


def test_a_run_keeps_features_of_all_photos_and_copies_of_some(first: Path) -> None:
    kept = read_kept(load_run(first))
    assert len(kept.photos) == len(kept.features) == 180
    assert [len(kept.split(split)) for split in SPLITS] == [108, 36, 36]
    assert [photo.split for photo in kept.copies] == ["train"] * 108 + ["val"] * 36 + ["test"] * 36
    assert all((kept.folder / photo.path).is_file() for photo in kept.copies)


def test_the_extended_model_knows_old_and_new_classes_on_the_device(extended: RunResult) -> None:
    frames = {label: [picture(label, seed=seed) for seed in range(300, 300 + OLD)] for label in LABELS}
    frames[NEW] = [scene(seed)[:, :, ::-1] for seed in range(300, 320)]
    for path in (extended.fp32, extended.int8):
        with Classifier(path) as classifier:
            assert classifier.labels == (*LABELS, NEW)
            assert all_passed(verify_model(classifier))
            for label, pictures in frames.items():
                answers = [classifier.classify(one, color="rgb", top_k=1).categories[0].label for one in pictures]
                assert answers.count(label) >= 0.6 * len(pictures), (path.name, label)


def test_the_network_below_the_head_stays_as_it_was(first: Path, extended: RunResult) -> None:
    from trainer.runs.artifacts import read_latest

    before, after = (read_latest(load_run(folder)).get_weights() for folder in (first, extended.fp32.parent))
    assert all((a == b).all() for a, b in zip(before[:-2], after[:-2], strict=True))
    assert after[-1].shape == (4,)


def test_the_network_that_is_extended_is_loaded_once_and_again_when_it_changes(first: Path, tmp_path: Path) -> None:
    from trainer.runs.artifacts import read_latest_shared
    from trainer.training.networks.backbones import HEAD_LAYER

    shutil.copytree(first, tmp_path / "run")
    run = load_run(tmp_path / "run")
    known = read_latest_shared(run)
    assert read_latest_shared(run) is known
    known.get_layer(HEAD_LAYER).bias.assign_add([1.0, 1.0, 1.0])
    known.save(run.stage("finetune") / "model.keras")
    again = read_latest_shared(run)
    assert again is not known
    assert (again.get_weights()[-1] == known.get_weights()[-1]).all()


def test_it_is_quantized_the_way_that_served_the_other_run(first: Path, extended: RunResult) -> None:
    from trainer.runs.artifacts import chosen_step, read_ladder

    (step,) = read_ladder(load_run(extended.fp32.parent))
    assert step.name == chosen_step(load_run(first)).name
    assert step.chosen


def test_it_is_told_how_the_known_classes_fare(extended: RunResult) -> None:
    assert extended.extension is not None
    by_label = {one.label: one for one in extended.extension.classes}
    assert list(by_label) == [*LABELS, NEW]
    assert [one.added for one in by_label.values()] == [0, 6, 0, 40]
    assert [one.count for one in by_label.values()] == [12, 13, 12, 8]
    assert [one.before is None for one in by_label.values()] == [False, False, False, True]
    assert extended.extension.learned == 108
    page = extended.report.read_text()
    assert "its head learned the known classes from stored features" in page
    assert f"New classes: {NEW}" in page


def test_an_extension_can_be_stopped_and_extended_in_turn(extended: RunResult, here: Path) -> None:
    folder = extended.fp32.parent
    shutil.rmtree(folder / "stages" / "report")
    lines: list[str] = []
    request = json.loads((folder / "run.json").read_text())
    again = train(request["photos"], folder, Recipe.from_dict(request["recipe"]), announce=lines.append)
    assert [line.endswith("already done") for line in lines] == [True] * 5 + [False]
    assert again.extension == extended.extension
    kept = read_kept(load_run(folder))
    assert len(kept.photos) == len(kept.features) == 180 + 46
    assert {photo.label for photo in kept.copies} == {0, 1, 2, 3}


def test_what_cannot_be_extended_is_refused(first: Path, here: Path, more: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match="Give the folder of the run that made the model"):
        extend(shutil.copy(first / "model_int8.tflite", tmp_path), more, tmp_path / "run")
    forgotten = tmp_path / "forgotten"
    shutil.copytree(first, forgotten)
    shutil.rmtree(forgotten / "stages" / "keep")
    with pytest.raises(OutputFolderError, match="stored no image features, and its photos are not available"):
        extend(forgotten, more, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_photos_that_are_known_already_teach_nothing(extended: RunResult, more: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="already trained with all 46 photos"):
        extend(extended.fp32.parent, more, tmp_path / "run")


def test_photos_with_several_labels_are_refused(first: Path, more: Path, tmp_path: Path) -> None:
    listed = "".join(f"{NEW}/{file.name},{NEW}|{LABELS[0]}\n" for file in (more / NEW).iterdir())
    shutil.copytree(more, tmp_path / "photos")
    (tmp_path / "photos" / "labels.csv").write_text(f"path,labels\n{listed}")
    with pytest.raises(DatasetError, match="have several labels, but the run in"):
        extend(first, tmp_path / "photos" / "labels.csv", tmp_path / "run")


def test_the_command_tells_the_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extend", str(tmp_path), str(tmp_path), "--to", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith(
        f"edge-trainer: {tmp_path} is neither the folder of a run nor a model file in one"
    )
