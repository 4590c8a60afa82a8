"""Pictures by class: what is saved, what is left out, and the command that does it."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge_runtime.cli.main import main
from edge_runtime.errors import OutputError
from edge_runtime.sinks.pictures.collector import ClassCount, Collector, check_label, difference_hash
from edge_runtime.sources.synthetic import SyntheticSource
from tests.support.tiny import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frame(seed: int) -> NDArray[np.uint8]:
    """A camera's frame, another one for each seed."""
    return SyntheticSource(seed=seed).draw(0)


def noisy(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """The same picture as a camera would give it a moment later."""
    noise = np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


class TestCollector:
    def test_the_folder_is_what_the_trainer_takes(self, tmp_path: Path) -> None:
        from trainer.data.dataset import survey

        collector = Collector(tmp_path / "photos")
        for label in ("cup", "T-shirt 2.0"):
            for seed in range(3):
                saved = collector.add(label, frame(seed))
                assert saved is not None
                assert saved.parent == tmp_path / "photos" / label
        found = survey(tmp_path / "photos")
        assert found.classes == {None: ("T-shirt 2.0", "cup")}
        assert len(found.readable) == 6
        assert collector.counts() == (ClassCount("T-shirt 2.0", 3, 0), ClassCount("cup", 3, 0))

    def test_a_saved_picture_is_the_frame(self, tmp_path: Path) -> None:
        saved = Collector(tmp_path).add("cup", frame(1))
        assert abs(cv2.imread(str(saved)).astype(int) - frame(1)).mean() < 2

    def test_what_looks_the_same_is_left_out_and_counted(self, tmp_path: Path) -> None:
        collector = Collector(tmp_path)
        assert collector.add("cup", frame(0)) is not None
        for seed in range(5):
            assert collector.add("cup", noisy(frame(0), seed)) is None
        assert collector.add("cup", frame(1)) is not None
        assert collector.counts() == (ClassCount("cup", 2, 5),)

    def test_another_class_may_have_the_same_picture(self, tmp_path: Path) -> None:
        collector = Collector(tmp_path)
        assert collector.add("cup", frame(0)) is not None
        assert collector.add("glass", frame(0)) is not None

    def test_pictures_of_an_earlier_day_are_known(self, tmp_path: Path) -> None:
        Collector(tmp_path).add("cup", frame(0))
        (tmp_path / "cup" / "broken.jpg").write_bytes(b"no picture")
        later = Collector(tmp_path)
        assert later.counts() == (ClassCount("cup", 2, 0),)
        assert later.add("cup", noisy(frame(0), 1)) is None
        assert later.add("cup", frame(1)) is not None

    def test_an_even_wall_is_one_picture_whatever_the_noise(self, tmp_path: Path) -> None:
        wall = np.full((480, 640, 3), 128, np.uint8)
        collector = Collector(tmp_path)
        assert [collector.add("wall", noisy(wall, seed)) is not None for seed in range(5)] == [True] + 4 * [False]

    def test_things_that_move_across_the_picture_are_new(self, tmp_path: Path) -> None:
        collector = Collector(tmp_path)
        scene = SyntheticSource()
        saved = [collector.add("shapes", scene.draw(30 * second)) is not None for second in range(6)]
        assert saved == 6 * [True]

    @pytest.mark.parametrize(
        "label",
        [
            *("", ".", "..", "../up", "a/b", "a\\b", "/etc", ".hidden", "a\0b", "a\nb", "end.", "end ", " a", "-a"),
            *("x" * 65, "train", "Test", "validation", "%2e%2e", "~", "$HOME"),
        ],
    )
    def test_a_name_that_is_no_folder_of_its_own_is_refused(self, label: str, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="Invalid class name"):
            Collector(tmp_path / "photos").add(label, frame(0))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("label", ["a", "7", "t-shirt", "bottle 0.5 l", "Öl_dose", "瓶子", "x" * 64])
    def test_names_of_people_are_taken(self, label: str) -> None:
        check_label(label)

    def test_a_disk_that_is_nearly_full_stays_as_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 << 20))
        with pytest.raises(OutputError, match="at least 200 MiB needed"):
            Collector(tmp_path).add("cup", frame(0))
        assert list(tmp_path.rglob("*.jpg")) == []

    def test_a_folder_that_can_t_be_made_is_told_in_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "photos").write_text("a file")
        with pytest.raises(OutputError, match=r"Cannot write pictures to .*photos: Not a directory\."):
            Collector(tmp_path / "photos").add("cup", frame(0))

    def test_a_hash_is_of_grey_and_of_colour_alike(self) -> None:
        pixels = picture("red", height=240, width=320)[:, :, ::-1].copy()
        grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        assert (difference_hash(pixels) ^ difference_hash(grey)).bit_count() <= 10


class TestCommand:
    def test_collects_until_there_are_enough(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--source", "synthetic", "--interval", "0.1", "--count", "3"]
        assert main(["collect", "--to", str(tmp_path), "--label", "shapes", *options]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("shapes: 3 saved, ")
        assert out.endswith(", 3 pictures in total\n")
        assert "synthetic scene" in err
        assert len(list(tmp_path.glob("shapes/*.jpg"))) == 3

    def test_ends_with_its_source(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cv2.imwrite(str(tmp_path / "one.png"), frame(0))
        to, source = str(tmp_path / "photos"), str(tmp_path / "one.png")
        assert main(["collect", "--to", to, "--label", "one", "--source", source]) == 0
        assert capsys.readouterr().out == "one: 1 saved, 0 near-duplicates skipped, 1 pictures in total\n"

    def test_a_bad_name_is_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["collect", "--to", str(tmp_path), "--label", "../x", "--source", "synthetic"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("edge-runtime: Invalid class name")

    def test_in_a_terminal_space_collects_and_q_ends(self, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "edge_runtime", "collect", "--to", tmp_path, "--label", "shapes"]
        command += ["--source", "synthetic", "--interval", "0.05"]
        with subprocess.Popen(
            [*map(str, command)], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
        ) as process:
            os.close(theirs)
            said = b""
            while b"press space to start or pause" not in said:
                said += os.read(ours, 1000)
            time.sleep(0.5)  # long enough for it to collect, if it did
            assert list(tmp_path.rglob("*.jpg")) == []
            os.write(ours, b" ")
            while b"2 saved" not in said:
                said += os.read(ours, 1000)
            os.write(ours, b"q")
            out, _ = process.communicate(timeout=60)
        os.close(ours)
        assert process.returncode == 0
        assert out.startswith("shapes: ")
        assert len(list(tmp_path.glob("shapes/*.jpg"))) >= 2
