"""The disk is full at the start of each stage: the run says so, loses nothing, and resumes once there is space."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime import read_model_file
from tests.hostile.crash.recipes import ALL_STAGES
from tests.support.tiny import write_photos
from trainer.errors import OutputFolderError
from trainer.workflows.train.pipeline import STAGES, resume, train

_MIB = 64


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("needs mount, for a small file system")
    command = ["mount", "-t", "tmpfs", "-o", f"size={_MIB}m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs root, for a small file system: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # TensorFlow keeps its temporary files open


class Disk:
    """Fills the disk, except for up to 8 KiB, when a stage starts for the first time.

    Attributes:
        begun: Progress messages of these stages.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._ballast = folder, folder / "ballast"
        self.begun: list[str] = []

    def fill_at(self, line: str) -> None:
        if line.startswith("[") and not line.endswith("already done") and line not in self.begun:
            self.begun.append(line)
            stat = os.statvfs(self._folder)
            left_bytes = 0 if len(self.begun) % 2 else 8192
            self._ballast.write_bytes(bytes(stat.f_bavail * stat.f_frsize - left_bytes))

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


def finished_files(run: Path) -> dict[str, str]:
    files = [path for path in run.glob("stages/[!.]*/**/*") if path.is_file()]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_disk_ends_a_run_in_each_stage_with_a_sentence_and_loses_nothing(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, run, disk = write_photos(tmp_path / "photos", 20), small_disk / "run", Disk(small_disk)
    (small_disk / "tmp").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk / "cache"))
    monkeypatch.setenv("TMPDIR", str(small_disk / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    stages = [stage for stage in STAGES if stage.wanted(ALL_STAGES)]
    before: dict[str, str] = {}
    for stage in stages:
        with pytest.raises(
            OutputFolderError, match=r"^Cannot write .*No space left on device.*Free some space"
        ) as told:
            train(photos, run, ALL_STAGES, announce=disk.fill_at)
        assert "\n" not in str(told.value)
        assert stage.title in disk.begun[-1]
        assert not list(run.rglob("*.partial"))
        after = finished_files(run)
        assert {name: after.get(name) for name in before} == before
        before = after
        disk.make_room()
    result = resume(run, announce=disk.fill_at)
    assert [read_model_file(file).labels for file in (result.fp32, result.int8)] == [("blue", "green", "red")] * 2
    assert result.report.is_file()
    assert len(disk.begun) == len(stages)
