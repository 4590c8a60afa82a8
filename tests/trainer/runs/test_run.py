from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainer.config import Recipe
from trainer.config.recipe_file import read_recipe
from trainer.errors import DatasetError, OutputFolderError
from trainer.runs.run import Run, Stage, open_run, run_stages, stage_records
from trainer.storage import locked, put_in_place, read_json, write_bytes, write_json


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Run:
    return open_run(tmp_path / "run", photos, Recipe(), None)


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def writing(log: list[str], name: str) -> Stage:
    """A stage that writes one file."""

    def work(run: Run, folder: Path) -> None:
        log.append(name)
        (folder / "result.txt").write_text(name)

    return Stage(name, f"Doing {name}", work)


def failing(error: BaseException) -> Stage:
    def work(run: Run, folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise error

    return Stage("b", "Doing b", work)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Limit the size of files, so that writing fails as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


class TestOpening:
    def test_writes_down_all_the_settings(self, run: Run) -> None:
        assert read_recipe(str(run.folder / "recipe.toml")) == run.recipe
        assert names_in(run.folder) == ["recipe.toml", "run.json"]

    def test_an_empty_folder_will_do(self, tmp_path: Path, photos: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert open_run(tmp_path / "empty", photos, Recipe(), None).folder == tmp_path / "empty"

    def test_the_same_run_goes_on(self, run: Run, photos: Path) -> None:
        recipe = Recipe().updated({"augment": {"scale": list(run.recipe.augment.scale)}})
        assert open_run(run.folder, photos, recipe, None) == run

    def test_a_run_from_before_there_was_a_setting_goes_on(self, run: Run, photos: Path) -> None:
        request = json.loads((run.folder / "run.json").read_text())
        del request["recipe"]["data"]["group"]
        (run.folder / "run.json").write_text(json.dumps(request))
        assert open_run(run.folder, photos, run.recipe, None) == run
        request["recipe"]["data"]["no_more"] = 1
        (run.folder / "run.json").write_text(json.dumps(request))
        with pytest.raises(OutputFolderError, match="different photos or settings"):
            open_run(run.folder, photos, run.recipe, None)

    def test_a_run_that_was_killed_as_it_was_opened_is_opened_again(self, run: Run, photos: Path) -> None:
        (run.folder / "recipe.toml").unlink()
        assert open_run(run.folder, photos, run.recipe, None) == run
        assert read_recipe(str(run.folder / "recipe.toml")) == run.recipe
        for file in ("recipe.toml", "run.json"):
            (run.folder / file).unlink()
        (run.folder / ".run.json.123.partial").write_text("{")
        open_run(run.folder, photos, run.recipe, None)
        run_stages(run, [], lambda line: None)
        assert names_in(run.folder) == ["recipe.toml", "run.json"]

    def test_other_settings_or_photos_are_refused(self, run: Run, photos: Path, tmp_path: Path) -> None:
        before = (run.folder / "recipe.toml").read_bytes()
        with pytest.raises(OutputFolderError, match="different photos or settings"):
            open_run(run.folder, photos, Recipe(seed=1), None)
        with pytest.raises(OutputFolderError, match="different photos or settings"):
            open_run(run.folder, tmp_path, Recipe(), None)
        assert (run.folder / "recipe.toml").read_bytes() == before

    def test_somebody_elses_folder_is_left_alone(self, photos: Path) -> None:
        (photos / "cat.jpg").write_bytes(b"mine")
        with pytest.raises(OutputFolderError, match="is not an empty folder"):
            open_run(photos, photos, Recipe(), None)
        assert names_in(photos) == ["cat.jpg"]

    def test_a_file_is_no_folder(self, tmp_path: Path, photos: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputFolderError, match="is not an empty folder"):
            open_run(tmp_path / "file", photos, Recipe(), None)
        with pytest.raises(OutputFolderError, match="Not a directory"):
            open_run(tmp_path / "file" / "run", photos, Recipe(), None)

    @pytest.mark.parametrize("size", [0, 100])
    def test_a_full_disk_leaves_nothing_half_written(self, tmp_path: Path, photos: Path, size: int) -> None:
        with files_limited_to(size), pytest.raises(OutputFolderError, match="File too large"):
            open_run(tmp_path / "run", photos, Recipe(), None)
        assert not (tmp_path / "run").exists()
        assert open_run(tmp_path / "run", photos, Recipe(), None).folder.is_dir()

    @pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a file system that can't be written")
    def test_a_folder_that_cannot_be_written_is_refused(self, photos: Path) -> None:
        with pytest.raises(OutputFolderError, match="Cannot write to /proc/run"):
            open_run(Path("/proc/run"), photos, Recipe(), None)

    def test_a_damaged_record_is_told(self, run: Run, photos: Path) -> None:
        (run.folder / "run.json").write_text("{")
        with pytest.raises(OutputFolderError, match=r"Cannot read .*run\.json"):
            open_run(run.folder, photos, Recipe(), None)


class TestStages:
    def test_are_worked_through_in_order_and_told(self, run: Run) -> None:
        log: list[str] = []
        told: list[str] = []
        stages = (writing(log, "a"), writing(log, "b"))
        run_stages(run, stages, told.append)
        assert log == ["a", "b"]
        assert told == ["[1/2] Doing a", "[2/2] Doing b"]
        assert run.stage("b").joinpath("result.txt").read_text() == "b"
        record = stage_records(run)[stages[0].name]
        assert record["started"].endswith("+00:00")
        assert record["seconds"] >= 0

    def test_that_are_finished_are_left_alone(self, run: Run) -> None:
        log: list[str] = []
        told: list[str] = []
        run_stages(run, [writing(log, "a")], told.append)
        run_stages(run, [writing(log, "a"), writing(log, "b")], told.append)
        assert log == ["a", "b"]
        assert told[1] == "[1/2] Doing a: already done"

    @pytest.mark.parametrize("error", [DatasetError("no photos"), KeyboardInterrupt(), RuntimeError("bug")])
    def test_that_fail_leave_nothing_and_start_again(self, run: Run, error: BaseException) -> None:
        log: list[str] = []
        with pytest.raises(type(error)) as raised:
            run_stages(run, [writing(log, "a"), failing(error)], log.append)
        assert raised.value is error
        assert names_in(run.folder / "stages") == ["a/result.txt", "a/stage.json"]
        run_stages(run, [writing(log, "a"), writing(log, "b")], lambda line: None)
        assert log.count("a") == 1
        assert run.stage("b").is_dir()

    def test_on_a_full_disk_say_so_and_keep_what_was_finished(self, run: Run) -> None:
        def fill(run: Run, folder: Path) -> None:
            (folder / "large.bin").write_bytes(bytes(100_000))

        stages = (writing([], "a"), Stage("b", "Doing b", fill))
        with files_limited_to(50_000), pytest.raises(OutputFolderError, match="stage b: File too large") as raised:
            run_stages(run, stages, lambda line: None)
        assert "finished stages are kept" in str(raised.value)
        assert names_in(run.folder / "stages") == ["a/result.txt", "a/stage.json"]
        run_stages(run, stages, lambda line: None)
        assert run.stage("b").joinpath("large.bin").stat().st_size == 100_000

    def test_keep_the_folder_to_themselves(self, run: Run) -> None:
        log: list[str] = []
        with locked(run.folder), pytest.raises(OutputFolderError, match="Another process is using"):
            run_stages(run, [writing(log, "a")], log.append)
        assert log == []
        run_stages(run, [writing(log, "a")], lambda line: None)
        assert log == ["a"]

    def test_of_another_run_that_was_opened_at_the_same_moment_are_refused(self, run: Run, photos: Path) -> None:
        log: list[str] = []
        other = Run(run.folder, photos, Recipe(seed=1), None)
        with pytest.raises(OutputFolderError, match="different photos or settings"):
            run_stages(other, [writing(log, "a")], log.append)
        assert log == []

    def test_of_a_run_that_was_killed_start_again(self, tmp_path: Path, photos: Path) -> None:
        code = f"""
import os, signal
from pathlib import Path
from trainer.config import Recipe
from trainer.runs.run import Stage, open_run, run_stages

def work(run, folder):
    (folder / "half.txt").write_text("half")
    if run.stage("a").exists():
        os.kill(os.getpid(), signal.SIGKILL)

run = open_run(Path({str(tmp_path / "run")!r}), Path({str(photos)!r}), Recipe(), None)
run_stages(run, [Stage("a", "a", work), Stage("b", "b", work)], print)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL
        log: list[str] = []
        run = open_run(tmp_path / "run", photos, Recipe(), None)
        assert not run.stage("b").exists()
        run_stages(run, [writing(log, "a"), writing(log, "b")], lambda line: None)
        assert log == ["b"]
        assert sorted(path.name for path in run.stage("b").iterdir()) == ["result.txt", "stage.json"]


class TestFiles:
    def test_json_comes_back(self, tmp_path: Path) -> None:
        value = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
        write_json(tmp_path / "value.json", value)
        assert read_json(tmp_path / "value.json") == value
        assert json.loads((tmp_path / "value.json").read_text()) == value
        assert names_in(tmp_path) == ["value.json"]

    @pytest.mark.parametrize(
        "write", [lambda path: write_bytes(path, bytes(5000)), lambda path: write_json(path, [0] * 5000)]
    )
    def test_are_written_whole_or_not_at_all(self, tmp_path: Path, write: Callable[[Path], None]) -> None:
        path = tmp_path / "file"
        path.write_text("the old one")
        with files_limited_to(1000), pytest.raises(OSError, match="File too large"):
            write(path)
        assert path.read_text() == "the old one"
        assert names_in(tmp_path) == ["file"]

    def test_a_folder_is_put_in_place_with_all_that_is_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "partial" / "inner").mkdir(parents=True)
        (tmp_path / "partial" / "inner" / "file").write_text("x")
        put_in_place(tmp_path / "partial", tmp_path / "finished")
        assert names_in(tmp_path) == ["finished/inner/file"]
