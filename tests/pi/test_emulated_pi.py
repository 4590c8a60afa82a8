"""The wheel on the processors of a Raspberry Pi 4 and 5: installed, its model verified, a picture classified.

Instructions are those of the processor, the numbers are therefore right; times mean nothing.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge_runtime import Classifier
from tests.pi.device import PI_4, PI_5, Device
from tests.tiny import LABELS, TinyModels, picture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interpreter:
    """What a release's Python gets by the wheel's dependencies.

    Attributes:
        name: As `edge_runtime` calls it.
        version: Begins so.
        by_itself: State of the INT8 kernels when the runtime decides. Where a self-test comes first, it is off: that
            one needs a child process, which there is none of under qemu-user. test_camera.py sees it on.
        on: Their state when they are asked for.
    """

    name: str
    version: str
    by_itself: str
    on: str


INTERPRETERS = {
    "bookworm": Interpreter("tflite_runtime", "2.14.0", by_itself="off", on="on"),
    "trixie": Interpreter("ai_edge_litert", "2.", by_itself="built in", on="built in"),
}
PIS = [(release, cpu) for release in INTERPRETERS for cpu in (PI_4, PI_5)]


@dataclass(frozen=True)
class Answers:
    """What the commands said on one processor."""

    expected: Interpreter
    printed: Mapping[str, str]

    def backend(self, command: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.printed[command])["backend"]
        return facts


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for each class, by its name."""
    folder = tmp_path_factory.mktemp("pictures")
    for label in LABELS:
        cv2.imwrite(str(folder / f"{label}.png"), picture(label, seed=7)[:, :, ::-1])
    return folder


@pytest.fixture(scope="module", params=PIS, ids=[f"{release}-{cpu.name}" for release, cpu in PIS])
def answers(
    request: pytest.FixtureRequest, devices: Mapping[str, Future[Device]], tiny_models: TinyModels, pictures: Path
) -> Answers:
    release, cpu = request.param
    device = devices[release].result()
    int8, fp32, on = tiny_models.int8, tiny_models.fp32, ("--int8-kernels", "on")
    commands: dict[str, tuple[str | Path, ...]] = {
        "info": ("info", "--json", int8),
        "info on": ("info", "--json", *on, int8),
        "info fp32": ("info", "--json", fp32),
        "verify": ("verify", int8),
        "verify on": ("verify", *on, int8),
        "verify fp32": ("verify", fp32),
        "classify": ("classify", "--json", int8, pictures),
    }

    def printed(arguments: tuple[str | Path, ...]) -> str:
        done: subprocess.CompletedProcess[str] = device.python(cpu, "-m", "edge_runtime", *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr or done.stdout}"
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        answers = Answers(INTERPRETERS[release], dict(zip(commands, pool.map(printed, commands.values()), strict=True)))
    for command in ("verify", "verify on", "verify fp32"):
        logger.info("%s, %s: %s", release, cpu.name, answers.printed[command].splitlines()[-1])
    return answers


def test_golden_samples_come_out_as_where_the_model_was_made(answers: Answers) -> None:
    for command in ("verify", "verify on", "verify fp32"):
        *samples, verdict = answers.printed[command].splitlines()
        assert verdict.startswith("verified: 2 golden samples")
        assert all("same pixels, same answer" in sample for sample in samples)


def test_the_interpreter_is_the_one_for_this_python_and_takes_the_operations(answers: Answers) -> None:
    expected = answers.expected
    for command, kernels in (("info", expected.by_itself), ("info on", expected.on), ("info fp32", "not needed")):
        backend = answers.backend(command)
        assert backend["name"] == expected.name
        assert backend["version"].startswith(expected.version)
        assert backend["int8_kernels"] == kernels
        if kernels == "off":
            assert "the self-test could not be run" in backend["int8_kernels_reason"]
            assert backend["delegated_ops"] == 0
        else:
            assert backend["int8_kernels_reason"] == ""
            assert backend["delegated_ops"] >= backend["total_ops"] - 1 > 0  # of all, it may leave the softmax


def test_pictures_are_classified_as_here(answers: Answers, tiny_models: TinyModels, pictures: Path) -> None:
    lines = [json.loads(line) for line in answers.printed["classify"].splitlines()]
    there = {Path(line["picture"]).stem: line["categories"][0]["label"] for line in lines}
    with Classifier(tiny_models.int8) as classifier:
        tops = {path.stem: classifier.classify(cv2.imread(str(path))).top for path in pictures.iterdir()}
    assert there == {name: top.label for name, top in tops.items() if top}
    assert there == {label: label for label in LABELS}
