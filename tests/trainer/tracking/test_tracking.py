"""A tracked run: what a real MLflow store and real event files contain afterwards."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pytest

from tests.support.tiny import LABELS, picture
from trainer.config import Recipe
from trainer.config.tracking import TrackConfig
from trainer.errors import OutputFolderError, PackagesError, RecipeError
from trainer.runs.run import load_run
from trainer.storage import locked
from trainer.tracking.mlflow import MlflowFollower
from trainer.types import Epoch, RunResult
from trainer.workflows.train.pipeline import resume, train
from trainer.workflows.train.stages.networks import fingerprint

if TYPE_CHECKING:
    from mlflow import MlflowClient

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclass(frozen=True)
class Followed:
    """A run that was stopped and resumed.

    Attributes:
        result: Result of the run.
        photos: Photos it was trained on.
        recipe: Settings of the run.
        client: Client of the MLflow store.
        run: Current state of the run in the store.
        status: Status in the store when the run was stopped.
    """

    result: RunResult
    photos: Path
    recipe: Recipe
    client: MlflowClient
    run: Any
    status: str

    @property
    def folder(self) -> Path:
        return self.result.int8.parent

    @property
    def curve(self) -> list[dict[str, Any]]:
        """Learning curve of fine-tuning in the run's own files."""
        history: list[dict[str, Any]] = json.loads((self.folder / "stages" / "finetune" / "training.json").read_text())[
            "history"
        ]
        return history


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    photos = tmp_path_factory.mktemp("sets") / "colours"
    for label in LABELS:
        (photos / label).mkdir(parents=True)
        for seed in range(20):
            cv2.imwrite(str(photos / label / f"{seed:02}.png"), picture(label, seed=seed)[:, :, ::-1])
    work = tmp_path_factory.mktemp("followed")
    store = f"sqlite:///{work / 'store' / 'mlflow.db'}"
    (work / "store").mkdir()
    recipe = Recipe.from_dict(
        {
            "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
            "finetune": {"epochs": 3, "learning_rate": 3e-3},
            "quantize": {"samples": 16},
            "gate": {"max_drop": 100.0, "min_agreement": 0.0, "repair": False},
            "track": {"uri": store, "tensorboard": True},
        }
    )

    def stop(line: str) -> None:
        if line.startswith("[4/7]"):  # the network is trained, its models aren't made
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(photos, work / "first", recipe, announce=stop)
    from mlflow import MlflowClient

    client = MlflowClient(store)
    status = _only_run(client).info.status
    result = resume(work / "first")
    return Followed(result, photos, recipe, client, _only_run(client), status)


def _only_run(client: MlflowClient) -> Any:
    experiment = client.get_experiment_by_name("colours")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


@pytest.mark.slow
class TestMlflow:
    def test_a_run_that_was_stopped_goes_on_as_the_same(self, followed: Followed) -> None:
        assert followed.status == "KILLED"
        assert followed.run.info.status == "FINISHED"
        assert followed.run.info.run_name == "first"

    def test_has_all_the_settings_but_where_it_is_sent(self, followed: Followed) -> None:
        parameters = followed.run.data.params
        assert parameters["model.backbone"] == "basic_cnn"
        assert parameters["finetune.epochs"] == "3"
        assert parameters["seed"] == "0"
        assert not [name for name in parameters if name.startswith("track")]

    def test_has_the_learning_curve_once(self, followed: Followed) -> None:
        assert len(followed.curve) == 3
        for name in CURVES:
            sent = followed.client.get_metric_history(followed.run.info.run_id, f"finetune/{name}")
            assert [(one.step, one.value) for one in sent] == [(one["epoch"], one[name]) for one in followed.curve]

    def test_has_what_was_measured(self, followed: Followed) -> None:
        figures = followed.run.data.metrics
        for kind, splits in followed.result.evaluations.items():
            for split, evaluation in splits.items():
                assert figures[f"{kind}/{split}_accuracy"] == evaluation.accuracy
        assert figures["int8/size_bytes"] == followed.result.int8.stat().st_size

    def test_has_models_and_reports(self, followed: Followed, tmp_path: Path) -> None:
        number = followed.run.info.run_id
        names = {file.path for file in followed.client.list_artifacts(number)}
        assert {
            "model_fp32.tflite",
            "model_int8.tflite",
            "report.html",
            "report.json",
            "model_card.md",
            "recipe.toml",
        } <= names
        kept = Path(followed.client.download_artifacts(number, "model_int8.tflite", str(tmp_path)))
        assert kept.read_bytes() == followed.result.int8.read_bytes()

    def test_what_ships_does_not_tell_where_it_was_tracked(self, followed: Followed) -> None:
        for file in (followed.result.int8, followed.result.fp32, followed.folder / "report.json"):
            assert b"mlflow.db" not in file.read_bytes()

    def test_repeating_the_command_sends_nothing_twice_and_it_goes_on_unfollowed_too(self, followed: Followed) -> None:
        train(followed.photos, followed.folder, followed.recipe)
        train(followed.photos, followed.folder, followed.recipe.without_tracking())
        number = followed.run.info.run_id
        assert len(followed.client.get_metric_history(number, "finetune/loss")) == 3
        assert len(followed.client.get_metric_history(number, "gate/drop")) == 1

    def test_whoever_comes_while_another_process_works_changes_nothing(self, followed: Followed) -> None:
        with locked(followed.folder), pytest.raises(OutputFolderError, match="Another process"):
            resume(followed.folder)
        assert _only_run(followed.client).info.status == "FINISHED"

    def test_machines_that_train_along_need_not_be_told(self, followed: Followed) -> None:
        run = load_run(followed.folder)
        assert fingerprint(replace(run, recipe=run.recipe.without_tracking())) == fingerprint(run)

    def test_trials_are_nested_in_their_search(self, followed: Followed, tmp_path: Path) -> None:
        follower = MlflowFollower(
            tmp_path, followed.recipe.track, experiment="search", settings={"objective": "accuracy"}, warn=pytest.fail
        )
        follower.add_nested("trial 0", {"head.batch_size": 16}, {"accuracy": 0.75}, [0.5, 0.75])
        experiment = followed.client.get_experiment_by_name("search")
        assert experiment is not None
        nested, whole = followed.client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
        assert nested.data.tags["mlflow.parentRunId"] == whole.info.run_id
        assert nested.data.params == {"head.batch_size": "16"}
        assert nested.data.metrics == {"accuracy": 0.75, "val_accuracy": 0.75}


@pytest.mark.slow
def test_event_files_hold_the_curve_and_the_figures(followed: Followed) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def scalars(folder: str, name: str) -> list[tuple[int, float]]:
        events = EventAccumulator(str(followed.folder / "tensorboard" / folder))
        events.Reload()
        return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]

    for name in CURVES:
        expected = [(one["epoch"], pytest.approx(one[name])) for one in followed.curve]
        assert scalars("finetune", name) == expected
    accuracy = followed.result.evaluations["int8"]["test"].accuracy
    assert scalars("result", "int8/test_accuracy") == [(0, pytest.approx(accuracy))]


def test_a_server_that_does_not_answer_gets_one_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    follower = MlflowFollower(
        tmp_path, TrackConfig("http://me:secret@127.0.0.1:9"), experiment="none", settings={}, warn=warnings.append
    )
    follower.epoch_ended("head", Epoch("head", 0, 1.0, 0.5, 1.0, 0.5, 1e-3, 0.1))
    follower.run_ended({"gate/drop": 0.0}, [])
    assert len(warnings) == 1
    assert "http://127.0.0.1:9" in warnings[0]
    assert "secret" not in warnings[0]
    assert not any(tmp_path.iterdir())  # it begins anew next time


def test_what_is_no_address_and_a_missing_package_are_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecipeError, match=r"track\.uri"):
        Recipe.from_dict({"track": {"uri": "photos"}})
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for seed in range(12):
            cv2.imwrite(str(tmp_path / "photos" / label / f"{seed}.png"), picture(label, seed=seed))
    monkeypatch.setitem(sys.modules, "mlflow", None)
    recipe = Recipe.from_dict({"model": {"backbone": "basic_cnn", "weights": "none"}, "track": {"uri": "local"}})
    with pytest.raises(PackagesError, match=r"pip install 'edge-image-sdk\[track\]'"):
        train(tmp_path / "photos", tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


def test_by_default_nothing_is_followed() -> None:
    assert asdict(Recipe().track) == {"uri": "", "experiment": "", "tensorboard": False}
