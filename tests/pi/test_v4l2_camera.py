"""A camera of the kernel's own, pulled out while ``edge-runtime run`` classifies what it shows, and plugged in again.

The machine is emulated, with Debian's kernel and its ``vivid`` driver: device file, formats, buffers and errors are
those of a USB camera. It shows red before and blue after, so that an old picture would be noticed.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pi import machine
from tests.pi.device import PI_4, Device
from tests.pi.guest import camera

logger = logging.getLogger(__name__)

GRACE_S = 0.5  # for a frame that was on its way when the camera went


@dataclass(frozen=True)
class Report:
    """What guest/camera.py brought back.

    Attributes:
        lines: The program's JSON Lines.
        messages: What it wrote on stderr.
        facts: The times, its exit status, and other commands' output.
    """

    lines: list[dict[str, Any]]
    messages: str
    facts: dict[str, Any]

    def captured_at(self, line: dict[str, Any]) -> float:
        return float(line["time"] - line["age_ms"] / 1000)

    @property
    def before(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if self.captured_at(line) <= self.facts["unplugged"] + GRACE_S]

    @property
    def after(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if self.captured_at(line) >= self.facts["plugging"]]


@pytest.fixture(scope="module")
def report(devices: Mapping[str, Future[Device]], tiny_int8: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    job = tmp_path_factory.mktemp("job")
    shutil.copy(camera.__file__, job)
    shutil.copy(tiny_int8, job / camera.MODEL.name)
    device = devices["bookworm"].result()
    path = ":".join(f"/{folder}" for folder in device.PYTHON_PATH)
    command = f"env PYTHONPATH={path} python{device.release.python} /job/camera.py"
    console = machine.boot(device.root, job, command, cpu=PI_4)
    assert (job / camera.REPORT.name).exists(), console
    report = Report(
        [json.loads(line) for line in (job / camera.LINES.name).read_text().splitlines()],
        (job / camera.MESSAGES.name).read_text(),
        json.loads((job / camera.REPORT.name).read_text()),
    )
    back_s = report.captured_at(report.after[0]) - report.facts["plugged"]
    logger.info("%d frames before, %d after, the first %.1f s after", len(report.before), len(report.after), back_s)
    return report


def test_what_was_negotiated_is_said(report: Report) -> None:
    # The driver has no Motion JPEG; OpenCV alone would take a format that it then can't decode.
    assert f"camera {camera.CAMERA}" in report.messages
    assert "640×480, YUYV" in report.messages
    assert "[ WARN" not in report.messages


def test_frames_come_before_and_after_and_none_while_it_is_away(report: Report) -> None:
    assert len(report.before) >= camera.FRAMES
    assert len(report.after) >= camera.FRAMES
    assert len(report.before) + len(report.after) == len(report.lines)


def test_every_frame_is_of_the_camera_as_it_is_then(report: Report) -> None:
    assert {line["label"] for line in report.before} == {"red"}
    assert {line["label"] for line in report.after} == {"blue"}
    for lines in (report.before, report.after):
        numbers = [line["frame"] for line in lines]
        assert numbers == sorted(set(numbers))


def test_every_frame_is_counted_and_the_camera_reopened_once(report: Report) -> None:
    assert {line["counters"]["reconnects"] for line in report.before} == {0}
    assert {line["counters"]["reconnects"] for line in report.after} == {1}
    for number, line in enumerate(report.lines, start=1):
        counters = line["counters"]
        left_out = sum(counters[what] for what in ("dropped", "skipped", "repeated", "malformed"))
        assert counters["classified"] == number
        # One may wait for its turn, and another come at this very moment.
        assert 0 <= counters["captured"] - number - left_out <= 2


def test_people_are_told(report: Report) -> None:
    said = report.messages.splitlines()
    gone = next(i for i, line in enumerate(said) if "stopped sending frames" in line)
    tried = next(i for i, line in enumerate(said) if "Trying again" in line)
    back = next(i for i, line in enumerate(said) if line.startswith("Reopened: camera"))
    assert gone < tried < back
    assert report.facts["exit_status"] == 0
    assert said[-1].startswith(f"{len(report.lines)} frames, ")


def test_a_camera_can_be_named_by_its_number(report: Report) -> None:
    lines = [json.loads(line) for line in report.facts["by_number"].splitlines()]
    assert [line["label"] for line in lines] == ["blue"] * 3


def test_the_int8_kernels_pass_their_self_test(report: Report) -> None:
    backend = json.loads(report.facts["info"])["backend"]
    assert (backend["name"], backend["int8_kernels"], backend["int8_kernels_reason"]) == ("tflite_runtime", "on", "")
    assert backend["delegated_ops"] >= backend["total_ops"] - 2 > 0
