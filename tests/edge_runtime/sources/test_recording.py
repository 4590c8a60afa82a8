"""A recorded session plays again as it was, and what is no recording says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.errors import OutputError, SourceError
from edge_runtime.sources import Frame, Source, open_source
from edge_runtime.sources.folder import FolderSource
from edge_runtime.sources.recording import INDEX_NAME, Recorder, RecordingSource

TIMES = (100.0, 100.02, 100.12, 100.15)


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four pictures, 0, 20, 120 and 150 ms after the first."""
    with Recorder(tmp_path / "session", picture_format="png") as recorder:
        for index, at in enumerate(TIMES):
            recorder.write(Frame(grey(10 * index), index, at))
    return tmp_path / "session"


def levels(source: Source) -> list[int]:
    with source:
        return [int(frame.pixels[0, 0, 0]) for frame in iter(source.read, None)]


class TestReplay:
    def test_has_the_pictures_and_their_times(self, recording: Path) -> None:
        with open_source(recording) as source:
            assert isinstance(source, RecordingSource)
            assert source.describe() == f"recording {recording}, 4 pictures, 0.1 s, as fast as possible"
            frames = list(iter(source.read, None))
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [0, 10, 20, 30]
        assert [frame.position_s for frame in frames] == pytest.approx([0, 0.02, 0.12, 0.15])
        assert [(frame.index, frame.name) for frame in frames][2] == (2, "000002.png")

    def test_keeps_its_own_pace(self, recording: Path) -> None:
        started = time.monotonic()
        with open_source(recording, pace="realtime") as source:
            assert source.paced
            source.read()
            source.read()
            second = time.monotonic() - started
            list(iter(source.read, None))
        assert second >= 0.02
        assert time.monotonic() - started >= 0.15

    def test_goes_on_in_time_when_it_loops(self, recording: Path) -> None:
        with open_source(recording, loop=True) as source:
            positions = [frame.position_s for frame in (source.read() for _ in range(6)) if frame]
        assert positions == pytest.approx([0, 0.02, 0.12, 0.15, 0.18, 0.20])

    def test_another_rate_can_be_asked_for(self, recording: Path) -> None:
        with open_source(recording, fps=10) as source:
            assert [frame.position_s for frame in iter(source.read, None)] == pytest.approx([0, 0.1, 0.2, 0.3])

    def test_what_was_cut_off_is_whole_up_to_there(self, recording: Path) -> None:
        index = recording / INDEX_NAME
        index.write_text(index.read_text()[:-5])
        assert levels(open_source(recording)) == [0, 10, 20]

    def test_a_missing_picture_is_left_out_and_the_time_goes_on(
        self, recording: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (recording / "000001.png").unlink()
        with open_source(recording) as source:
            assert [frame.position_s for frame in iter(source.read, None)] == pytest.approx([0, 0.12, 0.15])
        assert "000001.png" in caplog.text

    def test_without_its_index_it_is_a_folder_of_pictures(self, recording: Path) -> None:
        (recording / INDEX_NAME).unlink()
        with open_source(recording) as source:
            assert isinstance(source, FolderSource)

    @pytest.mark.parametrize(
        ("index", "message"),
        [
            ("", "is damaged"),
            ("no json\n", "is damaged"),
            ('{"version": 9}\n', "has version 9, .* reads version 1"),
            ('{"version": 1}\n', "lists no pictures"),
            ('{"version": 1}\n{"file": "a.png"}\n', "is damaged"),
            ('{"version": 1}\n{"file": "../a.png", "at_s": 0}\n', "lists files outside the folder"),
            ('{"version": 1}\n{"file": "a.png", "at_s": 0}\n', r"Cannot read the picture .*a\.png"),
        ],
    )
    def test_a_damaged_one_is_an_error(self, tmp_path: Path, index: str, message: str) -> None:
        (tmp_path / INDEX_NAME).write_text(index)
        with pytest.raises(SourceError, match=message):
            levels(open_source(tmp_path))


class TestRecorder:
    def test_overwrites_nothing(self, recording: Path) -> None:
        with pytest.raises(OutputError, match="is not empty"):
            Recorder(recording)
        with pytest.raises(OutputError, match="File exists"):
            Recorder(recording / INDEX_NAME)

    def test_a_full_disk_is_an_error(self, tmp_path: Path) -> None:
        with Recorder(tmp_path / "new") as recorder:
            shutil.rmtree(recorder.path)  # what a disk does that is taken away; a full one needs a disk of its own
            with pytest.raises(OutputError, match=r"Cannot write .*000000\.jpg: No such file"):
                recorder.write(Frame(grey(1), 0, 0.0))


class TestCommand:
    def test_what_it_records_is_a_source(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "session"
        assert main(["record", "--source", "faulty:garbage@3,freeze@8", "--to", str(target), "--seconds", "0.5"]) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "1 repeated, 1 malformed, 0 reconnects" in captured.err
        frames = [json.loads(line) for line in (target / INDEX_NAME).read_text().splitlines()[1:]]
        assert 5 <= len(frames) <= 16
        assert 0 <= frames[-1]["at_s"] < 0.5
        assert len(levels(open_source(target))) == len(frames)

    def test_a_folder_is_recorded_to_its_end_to_the_pixel(self, recording: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        assert main(["record", "--source", str(recording), "--to", str(copy), "--format", "png"]) == 0
        with open_source(recording) as one, open_source(copy) as other:
            for first, second in zip(iter(one.read, None), iter(other.read, None), strict=True):
                assert np.array_equal(first.pixels, second.pixels)
                assert first.position_s == pytest.approx(second.position_s)

    def test_seconds_are_those_of_a_file(self, recording: Path, tmp_path: Path) -> None:
        assert main(["record", "--source", str(recording), "--to", str(tmp_path / "b"), "--seconds", "0.1"]) == 0
        assert len(levels(open_source(tmp_path / "b"))) == 2

    def test_stops_at_a_signal_with_all_of_it_written(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "edge_runtime", "record", "--source", "faulty:seed=1", "--to", "session"]
        child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        index, deadline = tmp_path / "session" / INDEX_NAME, time.monotonic() + 30
        while not (index.exists() and len(index.read_text().splitlines()) > 3):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.terminate()
        _, messages = child.communicate(timeout=30)
        assert child.returncode == 0
        assert f"{len(index.read_text().splitlines()) - 1} frames" in messages

    def test_a_target_that_is_in_use_is_refused(self, recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["record", "--source", "synthetic", "--to", str(recording)]) == 1
        assert capsys.readouterr().err.startswith(f"edge-runtime: The folder {recording} is not empty")
