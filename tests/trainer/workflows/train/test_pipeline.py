"""The whole run, from photos to model files and report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Classifier, read_model_file, verify_model
from edge_runtime.inference.golden import all_passed
from tests.support.tiny import LABELS
from tests.trainer.conftest import QUICK
from trainer.cli.main import main
from trainer.config import Recipe
from trainer.config.recipe_file import read_recipe
from trainer.errors import CompressionError, DatasetError, OutputFolderError, PackagesError, RecipeError
from trainer.evaluation.unknown import fit_unknown
from trainer.runs.artifacts import read_dataset, read_model, read_pixels, read_robustness
from trainer.runs.run import load_run
from trainer.types import Epoch, RunResult
from trainer.workflows.train.pipeline import STAGES, train


@pytest.fixture
def photos(tiny_photos: Path) -> Path:
    return tiny_photos


@pytest.fixture
def run(tiny_run: RunResult) -> RunResult:
    return tiny_run


def test_a_run_learns_and_leaves_two_models_and_a_report(run: RunResult) -> None:
    folder = run.fp32.parent
    names = {path.name for path in folder.iterdir()}
    expected = {
        "model_fp32.tflite",
        "model_int8.tflite",
        "report.html",
        "report.json",
        "compression.html",
        "compression.json",
        "model_card.md",
        "recipe.toml",
        "run.json",
        "stages",
    }
    assert names == expected
    assert run.evaluations["int8"]["test"].accuracy >= 0.8
    assert run.int8.stat().st_size < run.fp32.stat().st_size


def test_the_files_carry_the_accuracy_that_the_report_tells_and_verify(run: RunResult) -> None:
    report = json.loads((run.fp32.parent / "report.json").read_text())
    for path in (run.fp32, run.int8):
        with Classifier(path) as classifier:
            assert classifier.labels == LABELS
            assert classifier.model.manifest is not None
            measured = {entry.split: entry for entry in classifier.model.manifest.accuracy}
            assert all_passed(verify_model(classifier))
        assert measured["test"].int8 == report["evaluations"]["int8"]["test"]["accuracy"]
        assert measured["val"].fp32 == report["evaluations"]["fp32"]["val"]["accuracy"]


def test_scores_are_the_networks_divided_by_the_temperature(run: RunResult) -> None:
    opened = load_run(run.fp32.parent)
    pixels = read_pixels(opened, read_dataset(opened), "val")
    network = read_model(opened, "finetune")
    images = (pixels.images.astype(np.float32) - 128) / 127.5
    manifest = read_model_file(run.fp32).manifest
    assert manifest is not None
    powers = network(images, training=False).numpy().astype(np.float64) ** (1 / manifest.temperature)
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert manifest.temperature != 1
    for kind, tolerance in (("fp32", 1e-3), ("int8", 0.2)):
        found = run.evaluations[kind]["val"].all_scores
        assert found == pytest.approx(expected, abs=tolerance)


def test_each_file_carries_a_threshold_that_keeps_right_answers(run: RunResult) -> None:
    for kind, path in (("fp32", run.fp32), ("int8", run.int8)):
        with Classifier(path) as classifier:
            manifest = classifier.model.manifest
            assert manifest is not None
            assert manifest.unknown == fit_unknown(run.evaluations[kind]["val"], 0.95)
            assert classifier.unknown_threshold is not None


def test_the_models_are_measured_on_worse_pictures_and_the_card_tells_it_all(
    run: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = read_robustness(load_run(run.fp32.parent))
    assert set(measured) == {"fp32", "int8"}
    card = run.card.read_text(encoding="utf-8")
    for words in ("blue, green, red", "| rotation | 40° |", "divided by a temperature", "unknown", "[finetune]"):
        assert words in card
    assert "| **Total** | **108** |" in card
    assert not any(line != line.rstrip() for line in card.splitlines())
    assert main(["card", str(run.int8)]) == 0
    from_the_file = capsys.readouterr().out
    assert f"| {run.evaluations['int8']['test'].count}, test |" in from_the_file
    assert "divided by a temperature" in from_the_file


def test_the_recipe_that_was_written_gives_the_settings_back(run: RunResult) -> None:
    assert read_recipe(str(run.fp32.parent / "recipe.toml")) == QUICK.for_photos(108, multi_label=False)


def test_a_stopped_run_goes_on_where_it_stopped(run: RunResult, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(run.fp32.parent, folder)
    for name in ("evaluate", "report"):
        shutil.rmtree(folder / "stages" / name)
    (folder / "model_int8.tflite").unlink()
    trained = (folder / "stages" / "finetune" / "model.keras").stat().st_mtime_ns
    lines: list[str] = []
    wanted = [stage for stage in STAGES if stage.wanted(QUICK)]
    again = train(photos, folder, QUICK, announce=lines.append)
    assert [line.endswith("already done") for line in lines] == [True] * (len(wanted) - 2) + [False] * 2
    assert (folder / "stages" / "finetune" / "model.keras").stat().st_mtime_ns == trained
    assert again.evaluations["int8"]["test"].predicted == run.evaluations["int8"]["test"].predicted


def test_the_same_seed_gives_the_same_model(run: RunResult, photos: Path, tmp_path: Path) -> None:
    again = train(photos, tmp_path / "again", QUICK)
    for first, second in ((run.fp32, again.fp32), (run.int8, again.int8)):
        with Classifier(first) as a, Classifier(second) as b:
            assert a.model.sha256 == b.model.sha256


def test_a_folder_with_another_run_is_refused(run: RunResult, photos: Path) -> None:
    other = QUICK.updated({"seed": 5})
    with pytest.raises(OutputFolderError, match="different photos or settings"):
        train(photos, run.fp32.parent, other)


def test_photos_that_changed_since_are_refused(run: RunResult, photos: Path, tmp_path: Path) -> None:
    copy, folder = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(photos, copy)
    shutil.copytree(run.fp32.parent, folder)
    request = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**request, "photos": str(copy.resolve())}))
    (copy / LABELS[0] / "000.png").unlink()
    with pytest.raises(OutputFolderError, match="have changed since"):
        train(copy, folder, QUICK)


def test_unusable_photos_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="No photos"):
        train(tmp_path / "empty", tmp_path / "run", QUICK)
    assert not (tmp_path / "run").exists()


def test_a_failed_gate_fails_the_command_after_the_report(run: RunResult, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.fp32.parent, folder)
    shutil.rmtree(folder / "stages" / "report")
    verdict = {"passed": False, "drop": 5.0, "agreement": 80.0, "reasons": ["INT8 loses 5 points."]}
    (folder / "stages" / "evaluate" / "verdict.json").write_text(json.dumps(verdict))
    (folder / "report.html").unlink()
    command = ["train", str(photos), "--to", str(folder), "--recipe", str(folder / "recipe.toml")]
    done = subprocess.run([sys.executable, "-m", "trainer", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert done.stderr.splitlines()[-1] == "edge-trainer: INT8 loses 5 points."
    assert "INT8 loses 5 points." in (folder / "report.html").read_text()


def test_keras_3_in_use_is_refused() -> None:
    program = (
        "import keras, sys\n"
        "from trainer.workflows.train.pipeline import train\n"
        "from trainer.errors import PackagesError\n"
        "try:\n    train('nowhere', 'nowhere')\n"
        "except PackagesError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Keras 3 is already loaded" in done.stdout
    assert issubclass(PackagesError, RuntimeError)


@pytest.mark.slow
def test_real_photos_with_pretrained_weights(
    shared_data: Path, shared_keras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(shared_keras))
    for split, count in (("train", 40), ("test", 15)):
        for folder in sorted((shared_data / "trashnet" / split).iterdir()):
            if folder.name in ("cardboard", "glass", "paper"):
                target = tmp_path / "photos" / split / folder.name
                target.mkdir(parents=True)
                for photo in sorted(folder.iterdir())[:count]:
                    shutil.copy(photo, target)
    recipe = Recipe.from_dict(
        {
            "model": {"input_size": 112},  # off the list of sizes: the weights for 224
            "finetune": {"epochs": 0},
            "quantize": {"samples": 96},
            "gate": {"max_drop": 10.0, "min_agreement": 75.0},
        }
    )
    result = train(tmp_path / "photos", tmp_path / "run", recipe).require_kept()
    assert result.evaluations["int8"]["test"].accuracy >= 0.7
    with Classifier(result.int8) as classifier:
        assert classifier.contract.height == 112


def _tuned_from(first: RunResult, photos: Path, to: Path, **settings: dict[str, float]) -> RunResult:
    """A run that starts from the weights of another one."""
    weights = str(to.with_suffix(".weights.h5"))
    read_model(load_run(first.fp32.parent), "finetune").save_weights(weights)
    return train(photos, to, QUICK.updated({"model": {"weights": weights}, **settings}))


def _changed_by_tuning(result: RunResult) -> bool:
    began, ended = (read_model(load_run(result.fp32.parent), stage).get_weights() for stage in ("head", "finetune"))
    return any((before != after).any() for before, after in zip(began, ended, strict=True))


def test_a_fine_tuning_of_few_photos_that_makes_it_worse_is_undone(
    run: RunResult, photos: Path, tmp_path: Path
) -> None:
    ruined = _tuned_from(run, photos, tmp_path / "ruined", finetune={"epochs": 2, "learning_rate": 30.0})

    assert not _changed_by_tuning(ruined)
    assert any("Fine-tuning was undone" in note for note in ruined.few)
    assert "Fine-tuning was undone" in ruined.report.read_text()


def test_a_fine_tuning_of_few_photos_that_helps_is_kept(run: RunResult, photos: Path, tmp_path: Path) -> None:
    helped = _tuned_from(run, photos, tmp_path / "helped", head={"epochs": 1}, finetune={"epochs": 4})

    assert _changed_by_tuning(helped)
    assert not any("undone" in note for note in helped.few)


COMPRESSED = QUICK.updated(
    {
        "finetune": {"epochs": 4},
        "distill": {"teacher": "basic_cnn", "teacher_input_size": 48, "epochs": 4, "teacher_epochs": 2},
        "prune": {"keep_macs": 0.6, "epochs": 4},
        "qat": {"always": True, "epochs": 1},
    }
)


@pytest.fixture(scope="module")
def compressed(tiny_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train(tiny_photos, tmp_path_factory.mktemp("runs") / "compressed", COMPRESSED)


def test_a_compressed_run_tells_what_each_step_brought(compressed: RunResult) -> None:
    variants = {variant.name: variant for variant in compressed.variants}
    assert list(variants) == [
        "teacher_fp32",
        *(f"{network}_{kind}" for network in ("student", "distilled", "pruned") for kind in ("fp32", "int8")),
    ]
    assert [name for name, variant in variants.items() if variant.baseline] == ["teacher_fp32"]
    assert [name for name, variant in variants.items() if variant.ships] == ["pruned_fp32", "pruned_int8"]
    assert variants["pruned_int8"].macs <= 0.6 * variants["distilled_int8"].macs
    assert variants["pruned_int8"].size_bytes < variants["distilled_int8"].size_bytes
    assert all(0 < variant.gzip_bytes <= variant.size_bytes for variant in variants.values())
    stages = [epoch.stage for epoch in history(compressed)]
    assert stages == [*["finetune"] * 4, *["distill"] * 4, *["prune"] * 4, "qat"]


def test_quantization_aware_training_that_is_always_wanted_is_chosen(compressed: RunResult) -> None:
    assert [step.name for step in compressed.rungs] == ["plain", "equalized", "qat_distilled"]
    assert [step.name for step in compressed.rungs if step.chosen] == ["qat_distilled"]
    with Classifier(compressed.int8) as classifier:
        assert all_passed(verify_model(classifier))
        assert classifier.model.input_tensor.dtype == "int8"


def test_the_compression_page_shows_the_steps_and_the_ladder(compressed: RunResult) -> None:
    page = compressed.compression.read_text()
    steps = ("Teacher, FP32", "Channels pruned", "Distillation", "Channel pruning", "conv3")
    for text in (*steps, "Quantization ladder", "Quantization-aware training, distilled from FP32", "error per layer"):
        assert text in page
    assert 'href="compression.html"' in compressed.report.read_text()
    told = json.loads(compressed.compression.with_suffix(".json").read_text())
    assert [v["name"] for v in told["variants"]] == [variant.name for variant in compressed.variants]
    assert told["layer_errors"]


DOWNLOAD = QUICK.updated(
    {
        "finetune": {"epochs": 2},
        "sparsify": {"sparsity": 0.5, "epochs": 2},
        "cluster": {"clusters": 8, "epochs": 1},
        "quantize": {"samples": 0, "also": ["float16", "dynamic_range", "int16"]},
    }
)


@pytest.mark.slow
def test_a_run_for_a_small_download_keeps_zeros_and_clusters(photos: Path, tmp_path: Path) -> None:
    result = train(photos, tmp_path / "run", DOWNLOAD)
    variants = {variant.name: variant for variant in result.variants}
    assert {f"clustered_{kind}" for kind in ("fp32", "int8", "float16", "dynamic_range", "int16")} <= set(variants)
    assert variants["sparse_int8"].sparsity > 0.4
    assert variants["clustered_int8"].sparsity >= variants["sparse_int8"].sparsity
    sizes = [variants[f"{network}_int8"].gzip_bytes for network in ("student", "sparse", "clustered")]
    assert sizes == sorted(sizes, reverse=True)
    assert "<h2>Download size</h2>" in result.compression.read_text()
    # Too few photos to hold two sets of 64 against each other: all of them calibrate, one twice for the input's range.
    assert json.loads(result.compression.with_suffix(".json").read_text())["calibration"] == []
    measured = sum(evaluation.count for evaluation in result.evaluations["fp32"].values())
    assert result.rungs[0].remark == f"{len(list(photos.rglob('*.png'))) - measured + 1} pictures"


@pytest.mark.slow
def test_a_gate_that_nothing_passes_climbs_to_the_end_of_the_ladder(photos: Path, tmp_path: Path) -> None:
    recipe = QUICK.updated(
        {
            "finetune": {"epochs": 1},
            "qat": {"epochs": 1},
            "gate": {"max_drop": 0.0, "min_agreement": 100.0, "allow_float": True},
            "quantize": {"samples": 3},
        }
    )
    result = train(photos, tmp_path / "run", recipe)
    names = [step.name for step in result.rungs]
    assert names[:2] == ["plain", "equalized"]
    assert sum(step.chosen for step in result.rungs) == 1
    last = result.rungs[-1]
    if not any(step.passed for step in result.rungs[:-1]):
        assert names[2:5] == ["calibrated", "qat", "qat_distilled"]
        assert names[5:] == [f"mixed_{count}" for count in (1, 2, 4, 8)][: len(names) - 5]
        assert not last.full_integer
        assert "not full integer" in last.remark


def history(result: RunResult) -> list[Epoch]:
    report = json.loads(result.report.with_suffix(".json").read_text())
    return [Epoch(**epoch) for epoch in report["history"]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distill": {"teacher": "no_such_network"}}, "distill.teacher .* is neither a backbone"),
        ({"prune": {"keep_macs": 0.01}}, "least"),
        ({"sparsify": {"sparsity": 0.5, "layers": ["no_such_*"]}}, r"sparsify\.layers .* matches no"),
        (
            {"cluster": {"clusters": 8}, "qat": {"always": True}},
            r"cluster\.clusters \(8\) and qat\.always exclude each other",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    photos: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((RecipeError, CompressionError), match=message):
        train(photos, tmp_path / "run", QUICK.updated(settings))
    assert not (tmp_path / "run").exists()


def test_a_saved_teacher_teaches_its_own_classes_only(compressed: RunResult, photos: Path, tmp_path: Path) -> None:
    teacher = str(compressed.fp32.parent)
    recipe = QUICK.updated({"finetune": {"epochs": 1}, "distill": {"teacher": teacher, "epochs": 1}})
    result = train(photos, tmp_path / "taught", recipe)
    assert [variant.network for variant in result.variants] == ["teacher", *["student"] * 2, *["distilled"] * 2]
    others = tmp_path / "others"
    shutil.copytree(photos, others)
    (others / LABELS[0]).rename(others / "mauve")
    with pytest.raises(RecipeError, match=r"The teacher in .* has the classes"):
        train(others, tmp_path / "refused", recipe)


def test_mirroring_is_refused_where_left_and_right_are_classes(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "signs")
    (tmp_path / "signs" / LABELS[0]).rename(tmp_path / "signs" / "left")
    with pytest.raises(RecipeError, match=r"augment\.flip is on"):
        train(tmp_path / "signs", tmp_path / "run", QUICK)
    assert not (tmp_path / "run").exists()
