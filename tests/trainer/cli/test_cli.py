from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edge_runtime import __version__
from edge_runtime.inference.classifier import Classifier
from tests.support.tiny import LABELS, TinyModels, picture
from trainer.cli.main import _parser, main

QUICK = (
    "--backbone=basic_cnn", "--weights=none", "--set=model.input_size=32", "--set=finetune.epochs=6",
    "--set=finetune.learning_rate=3e-3", "--set=quantize.samples=20",
)  # fmt: skip
LENIENT = ("--max-drop=100", "--min-agreement=0")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photos that a test may damage."""
    return make_photos(tmp_path / "photos", 12)


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), 30)


def make_photos(folder: Path, count: int) -> Path:
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for seed in range(count):
            cv2.imwrite(str(folder / label / f"{seed:02}.png"), picture(label, seed=seed)[:, :, ::-1])
    return folder


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the last line on stderr of a failing command, and check that there is no traceback."""
    assert main([*map(str, arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert line.startswith("edge-trainer: ")
    return line


class TestTrain:
    @pytest.mark.slow
    def test_makes_two_models_and_a_report_and_says_so(
        self, many_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = tmp_path / "run"
        arguments = ["train", str(many_photos), "--to", str(run), *QUICK, *LENIENT]
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "FP32" in out
        assert "INT8" in out
        assert str(run / "report.html") in out
        assert "[1/7] " in err
        for name in ("model_fp32.tflite", "model_int8.tflite"):
            with Classifier(run / name) as classifier:
                assert classifier.labels == LABELS
        assert json.loads((run / "report.json").read_text())
        assert main(arguments) == 0
        assert "already done" in capsys.readouterr().err

    def test_wrong_settings_write_nothing(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = tmp_path / "run"
        for options, words in (
            (["--set", "finetune.epoch=3"], "finetune.epoch'"),
            (["--set", "finetune.epochs=many"], "finetune.epochs must be an integer"),
            (["--recipe", "none.toml"], "'none.toml'"),
            (["--backbone", "resnet"], "'resnet'"),
            (["--backbone=basic_cnn", "--weights", str(tmp_path / "none.h5")], "none.h5"),
            (["--max-drop", "-1"], "gate.max_drop"),
        ):
            assert words in error_of(capsys, "train", photos, "--to", run, *options)
            assert not run.exists()

    def test_photos_that_cannot_be_trained_on_write_nothing(
        self, tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = tmp_path / "run"

        def told(folder: Path) -> str:
            line = error_of(capsys, "train", folder, "--to", run, *QUICK)
            assert not run.exists()
            return line

        (tmp_path / "empty").mkdir()
        assert "empty" in told(tmp_path / "empty")
        assert "doesn't exist" in told(tmp_path / "nothing")
        one = tmp_path / "one"
        shutil.copytree(photos / "red", one / "red")
        assert "red" in told(one)
        few = tmp_path / "few"
        shutil.copytree(photos, few)
        for path in sorted((few / "green").iterdir())[2:]:
            path.unlink()
        assert "green" in told(few)
        for number in range(5):
            (photos / "blue" / f"text{number}.jpg").write_text("no picture")
        assert "text0.jpg" in told(photos)

    def test_a_folder_that_cannot_be_written_is_told(
        self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        assert "is not an empty folder" in error_of(capsys, "train", photos, "--to", tmp_path / "file", *QUICK)
        assert "Not a directory" in error_of(capsys, "train", photos, "--to", tmp_path / "file" / "run", *QUICK)
        assert "is not an empty folder" in error_of(capsys, "train", photos, "--to", photos, *QUICK)


class TestCheck:
    def test_reports_counts(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", str(photos), "--no-labels"]) == 0
        out = capsys.readouterr().out
        assert all(label in out for label in LABELS)
        assert "36" in out

    def test_as_json_names_what_is_unreadable(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        jpeg = cv2.imencode(".jpg", picture("red"))[1].tobytes()
        (photos / "red" / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
        main(["check", str(photos), "--no-labels", "--json"])
        assert "red/cut.jpg" in json.dumps(json.loads(capsys.readouterr().out))

    def test_into_files(self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page, stored = tmp_path / "check.html", tmp_path / "check.json"
        command = ["check", str(photos), "--no-labels", "--page", str(page), "--json", str(stored)]
        assert main([*command, "--set", "data.val_fraction=0.5"]) == 0
        assert "Contact sheet" in page.read_text(encoding="utf-8")
        assert json.loads(stored.read_text())["photos"] == 36
        assert "Ready to train" in capsys.readouterr().out
        missing = tmp_path / "no" / "x.html"
        error = error_of(capsys, "check", photos, "--no-labels", "--page", missing)
        assert f"Cannot write {missing}: its folder doesn't exist" in error

    def test_of_an_empty_folder_is_an_error(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert str(tmp_path) in error_of(capsys, "check", tmp_path)


class TestEvaluate:
    def test_measures_a_model_on_folders_of_photos(
        self, tiny_int8: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["evaluate", str(tiny_int8), str(photos)]) == 0
        out = capsys.readouterr().out
        assert "on 36 photos" in out
        assert "95% interval" in out
        assert "calibration error" in out
        assert "unknown" not in out  # this one carries no threshold
        assert main(["evaluate", str(tiny_int8), str(photos), "--robustness", "--json"]) == 0
        measured = json.loads(capsys.readouterr().out)
        assert measured["quality"]["balanced_accuracy"] >= 0.9
        assert {one["kind"]: one["count"] for one in measured["robustness"]}["darkness"] == 36
        assert measured["count"] == 36
        assert measured["accuracy"] >= 0.9

    def test_what_is_no_model_is_told(self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "text.tflite").write_text("no model")
        assert "text.tflite" in error_of(capsys, "evaluate", tmp_path / "text.tflite", photos)

    def test_photos_of_other_classes_are_told(
        self, tiny_int8: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (photos / "red").rename(photos / "yellow")
        assert "yellow" in error_of(capsys, "evaluate", tiny_int8, photos)


class TestQuantize:
    def test_a_model_trained_elsewhere(
        self, tiny_models: TinyModels, many_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tiny_models.keras.save(tmp_path / "own.keras")
        arguments = ["quantize", tmp_path / "own.keras", "--representative", many_photos, "--to", tmp_path / "made"]
        assert main([*map(str, arguments), "--normalize", "128,127.5", "--samples", "30"]) == 0
        assert "INT8" in capsys.readouterr().out
        with Classifier(next((tmp_path / "made").glob("*int8.tflite"))) as classifier:
            assert classifier.labels == LABELS
            top = classifier.classify(picture("red", seed=500), color="rgb").top
        assert top is not None
        assert top.label == "red"

    def test_what_is_no_model_is_told(self, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "text.keras").write_text("no model")
        arguments = ["quantize", tmp_path / "text.keras", "--representative", photos, "--to", tmp_path / "made"]
        assert "text.keras" in error_of(capsys, *arguments, "--normalize", "0..1")
        assert not (tmp_path / "made").exists()


def test_backbones_are_listed_with_their_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backbones"]) == 0
    out = capsys.readouterr().out
    assert "mobilenet_v2_0.35 " in out
    assert "from scratch" in out
    assert "hard-swish" in out


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["frobnicate"],
            ["train"],
            ["train", "photos"],
            ["evaluate", "model.tflite"],
            ["evaluate", "model.tflite", "photos", "--split", "best"],
            ["quantize", "model.keras", "--representative", "photos", "--to", "made"],
            ["quantize", "m.keras", "--representative", "p", "--to", "t", "--normalize", "0..1", "--io", "int4"],
        ],
        ids=" ".join,
    )
    def test_errors_have_status_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: edge-trainer" in capsys.readouterr().err

    def test_every_example_of_every_help_is_accepted(self) -> None:
        (commands,) = (
            action.choices for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)
        )
        for name, parser in commands.items():
            heading, *examples = parser.epilog.splitlines()
            assert heading == "examples:"
            assert 2 <= len(examples) <= 3, name
            for example in examples:
                words = shlex.split(re.split(r" [|>] ", example)[0])  # what a shell does with the output is its own
                assert example.startswith(f"  edge-trainer {name}")
                assert _parser().parse_args(words[1:]).command

    def test_help_and_version_work_as_a_module(self) -> None:
        for option, words in (("--help", "quantize"), ("--version", f"edge-trainer {__version__}")):
            done = subprocess.run([sys.executable, "-m", "trainer", option], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0
            assert words in done.stdout
            assert done.stderr == ""
