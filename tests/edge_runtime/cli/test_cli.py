from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.inference.interpreter import choose_backend
from tests.support.tiny import LABELS, TinyModels, picture

COMMAND = [sys.executable, "-m", "edge_runtime"]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    options = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run([*COMMAND, *map(str, arguments)], **options)


def error_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that fails, and return its only line on stderr."""
    assert main([*map(str, arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("edge-runtime: ")
    return line


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture per class, in a file named after it."""
    folder = tmp_path_factory.mktemp("pictures")
    for label in LABELS:
        cv2.imwrite(str(folder / f"{label}.png"), picture(label)[:, :, ::-1])
    return folder


@pytest.fixture(scope="module")
def colors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video: one second of green, then one of red."""
    path = tmp_path_factory.mktemp("colors") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for index in range(40):
        writer.write(picture("green" if index < 20 else "red", seed=index)[:, :, ::-1])
    writer.release()
    return path


class TestInfo:
    def test_says_what_the_model_is_and_what_runs_it(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info", str(tiny_int8), "--num-threads", "1"]) == 0
        out = capsys.readouterr().out
        for words in (
            "tiny_int8.tflite",
            "3: blue, green, red",
            "32×32 rgb, center crop, pyramid, int8, mean 128, std 127.5",
            f"{choose_backend()[0]} ",
            ", 1 thread\n",
            "XNNPACK",
            "FP32 98.3%, INT8",
            "backbone",
        ):
            assert words in out

    def test_as_json_holds_the_manifest(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info", str(tiny_int8), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["labels"] == list(LABELS)
        assert facts["contract"]["mean"] == [128.0]
        assert facts["manifest"]["provenance"] == {"backbone": "tiny"}
        assert facts["backend"]["int8_kernels"] in ("on", "off", "built in")

    def test_names_the_switch(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["info", str(tiny_int8), "--int8-kernels", "off"]) == 0
        assert "off (switched off by the caller)" in capsys.readouterr().out


class TestVerify:
    def test_says_verified(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(tiny_int8)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("sample 1: same pixels, same top class, scores within 0.00")
        assert lines[-1].startswith("verified: 2 golden samples with ")

    def test_says_so_and_fails_where_pixels_differ(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        other = ["--mean", "128", "--std", "127.5", "--input-color", "bgr"]
        assert main(["verify", str(tiny_int8), *other]) == 1
        out = capsys.readouterr().out
        assert "DIFFERENT PIXELS" in out
        assert "NOT VERIFIED" in out
        assert main(["verify", str(tiny_int8), *other, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["passed"] is False

    def test_as_json(self, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(tiny_int8), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["passed"] is True
        assert [sample["pixels_equal"] for sample in answer["samples"]] == [True, True]


class TestClassify:
    def test_a_picture(self, tiny_int8: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["classify", str(tiny_int8), str(pictures / "red.png")]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{pictures}/red.png: red 9")

    def test_a_folder_as_json_lines(self, tiny_int8: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["classify", str(tiny_int8), str(pictures), "--json", "--top-k", "2"]) == 0
        answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [Path(answer["picture"]).stem for answer in answers] == list(LABELS)
        assert [answer["categories"][0]["label"] for answer in answers] == list(LABELS)
        assert all(len(answer["categories"]) == 2 for answer in answers)

    def test_nothing_over_the_threshold_is_unknown(
        self, tiny_int8: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["classify", str(tiny_int8), str(pictures / "red.png"), "--score-threshold", "1"]) == 0
        assert capsys.readouterr().out.endswith("red.png: unknown\n")

    def test_an_uncertain_answer_is_unknown_with_the_best_guesses(
        self, tiny_int8: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["classify", str(tiny_int8), str(pictures / "red.png"), "--unknown-threshold", "1"]
        assert main(arguments) == 0
        assert ": unknown (red 9" in capsys.readouterr().out
        assert main([*arguments, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["is_unknown"] is True
        assert 0.5 < answer["certainty"] < 1

    def test_a_bad_picture_is_named_and_the_others_are_classified(
        self, tiny_int8: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "text.jpg").write_text("no picture")
        jpeg = cv2.imencode(".jpg", picture("red"))[1].tobytes()
        (tmp_path / "zcut.jpg").write_bytes(jpeg[:20])
        assert main(["classify", str(tiny_int8), str(tmp_path), str(pictures / "red.png")]) == 1
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 1
        assert [line.split(":")[0] for line in err.splitlines()] == ["edge-runtime", "edge-runtime"]
        assert "text.jpg" in err
        assert "zcut.jpg" in err

    def test_a_model_that_says_nothing_is_told_everything(
        self, tiny_models: TinyModels, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare, labels = tmp_path / "bare.tflite", tmp_path / "labels.txt"
        bare.write_bytes(tiny_models.fp32_content)
        labels.write_text("blue\ngreen\nred\n")
        told = ["--labels", str(labels), "--mean", "128", "--std", "127.5", "--crop", "center"]
        assert main(["classify", str(bare), str(pictures / "green.png"), *told]) == 0
        assert "green.png: green" in capsys.readouterr().out
        assert "labels=" in error_of(capsys, "classify", bare, pictures, "--mean", "128", "--std", "127.5")
        assert "--mean and --std together" in error_of(capsys, "classify", bare, pictures, "--mean", "128")

    def test_stops_quietly_when_nobody_reads_any_more(self, tiny_int8: Path, tmp_path: Path) -> None:
        blank = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        for number in range(1500):  # more than a pipe holds
            (tmp_path / f"{number:04}-with-a-rather-long-name-to-fill-the-pipe.png").write_bytes(blank)
        shell = f"{sys.executable} -m edge_runtime classify {tiny_int8} {tmp_path} | head -1; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
        assert len(done.stdout.splitlines()) == 1
        assert without_notes(done.stderr) == ""
        assert done.returncode == 0


class TestRun:
    def test_writes_a_line_a_frame(self, tiny_int8: Path) -> None:
        done = run("run", tiny_int8, "--source", "synthetic", "--max-frames", 5)
        assert done.returncode == 0
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
        for line in lines:
            assert line["label"] in LABELS
            assert line["categories"][0] == {"index": LABELS.index(line["label"]), **pick(line, "label", "score")}
            assert line["age_ms"] >= line["inference_ms"] > 0
        assert "5 frames" in done.stderr

    def test_classifies_a_folder_by_name(self, tiny_int8: Path, pictures: Path) -> None:
        done = run("run", tiny_int8, "--source", pictures)
        assert done.returncode == 0
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(line["name"], line["label"]) for line in lines] == [(f"{label}.png", label) for label in LABELS]

    def test_writes_into_a_file(self, tiny_int8: Path, pictures: Path, tmp_path: Path) -> None:
        done = run("run", tiny_int8, "--source", pictures, "--to", tmp_path / "out.jsonl")
        assert (done.returncode, done.stdout) == (0, "")
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3

    def test_single_pictures_are_not_decided_over_time(self, tiny_int8: Path, pictures: Path) -> None:
        done = run("run", tiny_int8, "--source", pictures)
        assert all("decision" not in json.loads(line) for line in done.stdout.splitlines())

    def test_decides_by_the_rules_that_are_given(self, tiny_int8: Path, colors: Path) -> None:
        options = ("--smoothing", "none", "--enter", 0.5, "--leave", 0.3, "--dwell", 0.2)
        for denied, entered in (((), ["green", "red"]), (("--deny", "red"), ["green"])):
            done = run("run", tiny_int8, "--source", colors, *options, *denied)
            assert done.returncode == 0, done.stderr
            events = [event for line in done.stdout.splitlines() for event in json.loads(line)["events"]]
            assert [event["label"] for event in events if event["kind"] == "entered"] == entered

    def test_looks_at_the_frames_and_the_region_that_are_wanted(self, tiny_int8: Path, colors: Path) -> None:
        done = run("run", tiny_int8, "--source", colors, "--every", 10, "--region", "0,0.5,1,0.5")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["frame"] for line in lines] == [0, 10, 20, 30]
        assert lines[-1]["counters"]["skipped"] == 27

    def test_events_go_where_they_are_wanted(self, tiny_int8: Path, colors: Path, tmp_path: Path) -> None:
        rules = ("--smoothing", "none", "--enter", 0.5, "--leave", 0.3, "--dwell", 0.2)
        command = f"sh -c 'cat >> {tmp_path}/told.jsonl'"
        sinks = ("--on-event", command, "--kinds", "entered", "--save-to", tmp_path / "kept", "--save-on", "entered")
        done = run("run", tiny_int8, "--source", colors, *rules, "--events-only", *sinks)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["kind"] for line in lines] == ["entered", "changed", "left", "entered", "changed"]
        told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
        assert told == [line for line in lines if line["kind"] == "entered"]
        assert {path.parent.name for path in (tmp_path / "kept").glob("*/*.jpg")} == {"green", "red"}

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                ("--kinds", "came", "--on-event", "true"),
                "Unknown kind of event 'came'. Choose from entered, left, changed.",
            ),
            (("--on-event", "no-such-program"), "Program 'no-such-program' not found"),
            (("--mqtt", "broker/topic"), "Invalid address; use the form mqtt://"),
            (("--save-to", "unwritten"), "Give --save-below, --save-margin or --save-on"),
            (("--enter", "0.2", "--leave", "0.5"), "leave must not exceed enter"),
            (("--dwell", "-1"), "dwell_s must be 0 seconds or more"),
            (("--deny", "violet"), "The model has no class violet to allow or deny. Its classes: blue, green, red."),
        ],
    )
    def test_rules_that_make_no_sense_are_one_line(
        self, tiny_int8: Path, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["run", str(tiny_int8), "--source", "synthetic", "--max-frames", "1", *options]) == 1
        assert words in capsys.readouterr().err.splitlines()[-1]

    @pytest.mark.parametrize(
        "option", [("--region", "0.5,0,0.6,1"), ("--region", "a"), ("--size", "640"), ("--score-threshold", "2")]
    )
    def test_options_of_the_wrong_form_are_wrong_usage(
        self, tiny_int8: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["run", str(tiny_int8), *option])
        assert stopped.value.code == 2
        assert option[1] in capsys.readouterr().err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stops_at_once_and_cleanly_when_told_to(self, tiny_int8: Path, number: signal.Signals) -> None:
        with subprocess.Popen(
            [*COMMAND, "run", str(tiny_int8), "--source", "synthetic", "--pace", "realtime"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(number)
            asked = time.monotonic()
            out, err = process.communicate(timeout=20)
            took_s = time.monotonic() - asked
        assert process.returncode == 0, err
        assert took_s < 2
        assert out == "" or out.endswith("\n")
        for line in (first, *out.splitlines()):
            assert json.loads(line)["label"] in LABELS
        assert " FPS at the end" in err
        assert "Traceback" not in err

    def test_stops_quietly_when_nobody_reads_any_more(self, tiny_int8: Path) -> None:
        command = f"{sys.executable} -m edge_runtime run {tiny_int8} --source synthetic"
        shell = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
        assert len(done.stdout.splitlines()) == 1
        assert json.loads(done.stdout)["frame"] == 0
        assert done.returncode == 0
        assert "Error" not in done.stderr
        assert "Traceback" not in done.stderr


class TestBenchmark:
    def test_compares_int8_with_fp32(self, tiny_models: TinyModels, tmp_path: Path) -> None:
        done = run(
            "benchmark", tiny_models.int8, "--baseline", tiny_models.fp32, "--seconds", 0.2,
            "--json", tmp_path / "report.json", "--markdown", tmp_path / "report.md",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "report.json").read_text())
        assert [model["name"] for model in report["models"]] == ["tiny_int8.tflite", "tiny_fp32.tflite"]
        assert report["baseline"] == "tiny_fp32.tflite"
        assert (tmp_path / "report.md").read_text().count("|") > 10
        for words in ("tiny_int8.tflite", "tiny_fp32.tflite", "p50", "98.3%"):
            assert words in done.stdout

    def test_writes_a_picture_and_a_line_for_each_model(self, tiny_models: TinyModels, tmp_path: Path) -> None:
        done = run(
            "benchmark", tiny_models.int8, tiny_models.fp32, "--rounds", 1, "--int8-kernels", "both",
            "--num-threads", 1, "--picture", tmp_path / "report.svg", "--csv", "-",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1 + 2 + 1
        assert (tmp_path / "report.svg").read_text().startswith("<svg")

    def test_a_model_that_fails_is_a_row_and_an_exit_status(self, tiny_int8: Path, tmp_path: Path) -> None:
        done = run("benchmark", tiny_int8, tmp_path / "none.tflite", "--rounds", 1, "--num-threads", 1)
        assert done.returncode == 1
        assert "none.tflite" in done.stdout
        assert "FAILED: " in done.stdout
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--json", "-", "--markdown", "-"], "Only one output can go to stdout"),
            (["--csv", "-", "--picture", "-"], "Only one output can go to stdout"),
            (["--picture", "report.png"], "must end in .svg"),
            (["--precision", "2"], "there is no baseline"),
            (["--threads", "1,4096"], "Cannot use 4096 threads"),
            (["--data", "/no/such/folder"], "not found"),
            (["--source", "/no/such/clip.mp4"], "does not exist"),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_what_makes_no_sense_is_told_before_anything_is_measured(
        self, tiny_int8: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["benchmark", str(tiny_int8), "--seconds", "500", *options]) == 1
        captured = capsys.readouterr()
        assert words in captured.err
        assert captured.out == ""

    def test_a_baseline_among_the_models_is_measured_once(
        self, tiny_models: TinyModels, capsys: pytest.CaptureFixture[str]
    ) -> None:
        models = [str(tiny_models.int8), str(tiny_models.fp32)]
        assert main(["benchmark", *models, "--baseline", models[1], "--seconds", "0.1", "--json", "-"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert len(report["models"]) == 2
        assert report["baseline"] == "tiny_fp32.tflite"

    def test_a_report_that_cannot_be_written_is_an_error(
        self, tiny_int8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = tmp_path / "no" / "report.json"
        assert main(["benchmark", str(tiny_int8), "--seconds", "0.1", "--json", str(report)]) == 1
        assert "No such file or directory" in capsys.readouterr().err


class TestErrors:
    def test_of_models_are_one_line(self, tmp_path: Path, tiny_int8: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text, cut, labels = tmp_path / "text.tflite", tmp_path / "cut.tflite", tmp_path / "labels.txt"
        text.write_text("no model\n" * 100)
        cut.write_bytes(tiny_int8.read_bytes()[:3000])
        labels.write_text("one\ntwo\n")
        assert "lacks the identifier TFL3" in error_of(capsys, "info", text)
        assert "truncated or damaged" in error_of(capsys, "info", cut)
        assert "No such file" in error_of(capsys, "verify", tmp_path / "none.tflite")
        assert "3 labels for 3 outputs, got 2" in error_of(capsys, "info", tiny_int8, "--labels", labels)
        assert "labels" in error_of(capsys, "info", tiny_int8, "--labels", tmp_path / "none.txt")

    def test_of_sources_are_one_line(self, tiny_int8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "There is no picture or folder" in error_of(capsys, "classify", tiny_int8, tmp_path / "none.jpg")
        assert "contains no pictures" in error_of(capsys, "classify", tiny_int8, tmp_path)
        done = run("run", tiny_int8, "--source", "/dev/video63")
        assert (done.returncode, done.stdout) == (1, "")
        assert "/dev/video63" in without_notes(done.stderr)
        assert len(without_notes(done.stderr).splitlines()) == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("arguments", [["info"], ["run", "--source", "synthetic", "--max-frames", "3"]])
    def test_of_a_full_disk_are_one_line(self, tiny_int8: Path, arguments: list[str]) -> None:
        with Path("/dev/full").open("w") as full:
            options = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
            done = run(arguments[0], tiny_int8, *arguments[1:], **options)
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr

    @pytest.mark.parametrize("arguments", ["info", "run --source synthetic --max-frames 2"])
    @pytest.mark.parametrize("closed", [">&-", "2>&-"])
    def test_a_closed_stream_is_none(self, tiny_int8: Path, arguments: str, closed: str) -> None:
        shell = f"{sys.executable} -m edge_runtime {arguments} {tiny_int8} {closed}"
        done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert "Ctrl-C" not in done.stdout

    def test_show_where_they_came_from_only_when_asked(self, tmp_path: Path) -> None:
        quiet = run("info", tmp_path / "none.tflite")
        loud = run("info", tmp_path / "none.tflite", "--traceback")
        assert (quiet.returncode, loud.returncode) == (1, 1)
        assert len(quiet.stderr.splitlines()) == 1
        assert "Traceback" in loud.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["frobnicate"],
            ["info"],
            ["classify", "model.tflite"],
            ["info", "model.tflite", "--num-threads", "0"],
            ["info", "model.tflite", "--num-threads", "many"],
            ["info", "model.tflite", "--backend", "tensorflow"],
            ["info", "model.tflite", "--mean", "1,2"],
            ["info", "model.tflite", "--std", "a"],
            ["run", "model.tflite", "--max-frames", "0"],
            ["run", "model.tflite", "--score-threshold", "high"],
            ["run", "model.tflite", "--pace", "slow"],
            ["benchmark", "model.tflite", "--seconds", "0"],
            ["benchmark", "model.tflite", "--threads", "1,0"],
            ["benchmark", "model.tflite", "--threads", "many"],
            ["benchmark", "model.tflite", "--minutes", "-1"],
            ["compare", "a.json"],
            ["info", "model.tflite", "--backend", "all"],
        ],
        ids=" ".join,
    )
    def test_of_usage_have_status_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage: edge-runtime" in capsys.readouterr().err


def pick(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: line[name] for name in names}


def without_notes(stderr: str) -> str:
    """Return the lines that are not TensorFlow Lite's own."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("INFO: "))
