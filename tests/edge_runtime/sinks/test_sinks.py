"""JSON Lines: one line a frame, at once, and a quiet end when the reader has gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import OutputError
from edge_runtime.sinks import JsonLines
from edge_runtime.sources import Frame
from edge_runtime.types import Category, Counters, LiveResult, Prediction


def result(*categories: Category, name: str = "") -> LiveResult:
    return LiveResult(
        frame=Frame(np.zeros((2, 2, 3), np.uint8), 7, 1.0, name),
        prediction=Prediction(categories, 0.2, 5.0, 0.01),
        time=1700000000.1234,
        age_ms=6.5,
        fps=29.97,
        counters=Counters(captured=11, classified=8, dropped=3, reconnects=1),
    )


def test_a_line_says_when_what_and_how_fast(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonLines(path) as sink:
        assert sink.write(result(Category(1, "glas", 0.87654), Category(0, "бумага", 0.1)))
    assert json.loads(path.read_text()) == {
        "time": 1700000000.123,
        "frame": 7,
        "label": "glas",
        "score": 0.8765,
        "categories": [
            {"index": 1, "label": "glas", "score": 0.8765},
            {"index": 0, "label": "бумага", "score": 0.1},
        ],
        "age_ms": 6.5,
        "preprocess_ms": 0.2,
        "inference_ms": 5.0,
        "postprocess_ms": 0.01,
        "fps": 30.0,
        "counters": {
            "captured": 11,
            "classified": 8,
            "dropped": 3,
            "skipped": 0,
            "repeated": 0,
            "malformed": 0,
            "reconnects": 1,
        },
    }


def test_an_unknown_frame_has_null_and_a_picture_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonLines(path) as sink:
        sink.write(result(name="a/b.png"))
    line = json.loads(path.read_text())
    assert (line["label"], line["score"], line["categories"], line["name"]) == (None, None, [], "a/b.png")


def test_each_line_can_be_read_as_soon_as_it_is_written_and_a_second_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for count in (1, 2):
        with JsonLines(path) as sink:
            sink.write(result())
            assert len(path.read_text().splitlines()) == count


def test_a_file_that_can_not_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write results to .*nowhere/out\.jsonl.*No such file"):
        JsonLines(tmp_path / "nowhere/out.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_once() -> None:
    sink = JsonLines("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        sink.write(result())
    sink.close()


def test_a_reader_that_has_gone_is_told_by_the_return_value() -> None:
    reader, writer = os.pipe()
    sink = JsonLines(f"/dev/fd/{writer}")
    assert sink.write(result())
    os.close(reader)
    assert not sink.write(result())
    sink.close()
    os.close(writer)


def test_writing_to_head_ends_without_a_word() -> None:
    code = (
        "from tests.edge_runtime.sinks.test_sinks import result\n"
        "from edge_runtime.sinks import JsonLines\n"
        "with JsonLines() as sink:\n"
        "    while sink.write(result()): pass\n"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["frame"] == 7
        process.stdout.close()
        started = time.monotonic()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert time.monotonic() - started < 20
