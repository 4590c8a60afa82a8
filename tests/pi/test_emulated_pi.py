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

import cv2
import pytest

from edge_runtime import Classifier
from tests.pi.device import PI_4, PI_5, Device
from tests.support.tiny import LABELS, TinyModels, picture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interpreter:
    """What a release's Python gets by the wheel's dependencies.

    Attributes:
        name: As `edge_runtime` calls it.
        version: Begins so.
        by_itself: State of the INT8 kernels when the runtime decides. Where a self-test comes first, it is off: that
            one needs a child process, which there is none of under qemu-user. test_v4l2_camera.py sees it on.
        switch: Whether they can be asked for, and so switched on without the self-test.
    """

    name: str
    version: str
    by_itself: str
    switch: bool = False


INTERPRETERS = {
    "trixie": Interpreter("ai_edge_litert", "2.", by_itself="built in"),
    "bookworm": Interpreter("tflite_runtime", "2.14.0", by_itself="off", switch=True),
}
PIS = [(release, cpu) for release in INTERPRETERS for cpu in (PI_4, PI_5)]


@dataclass(frozen=True)
class Answers:
    """What the commands printed on one processor, by command and model."""

    expected: Interpreter
    printed: Mapping[tuple[str, str], str]

    def of(self, command: str) -> dict[str, str]:
        """By model."""
        return {model: text for (name, model), text in self.printed.items() if name == command}


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
    expected = INTERPRETERS[release]
    models: dict[str, tuple[str | Path, ...]] = {"int8": (tiny_models.int8,), "fp32": (tiny_models.fp32,)}
    if expected.switch:
        models["int8 switched on"] = (tiny_models.int8, "--int8-kernels", "on")
    commands = {("classify", "int8"): ("classify", *models["int8"], pictures, "--json")}
    for name, model in models.items():
        commands["info", name] = ("info", *model, "--json")
        commands["verify", name] = ("verify", *model)

    def printed(arguments: tuple[str | Path, ...]) -> str:
        done: subprocess.CompletedProcess[str] = device.python(cpu, "-m", "edge_runtime", *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr or done.stdout}"
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        answers = Answers(expected, dict(zip(commands, pool.map(printed, commands.values()), strict=True)))
    for name, text in answers.of("verify").items():
        logger.info("%s, %s, %s: %s", release, cpu.name, name, text.splitlines()[-1])
    return answers


def test_golden_samples_come_out_as_where_the_model_was_made(answers: Answers) -> None:
    for text in answers.of("verify").values():
        *samples, verdict = text.splitlines()
        assert verdict.startswith("verified: 2 golden samples")
        assert all("same pixels, same top class" in sample for sample in samples)


def test_the_interpreter_is_the_one_for_this_python_and_takes_the_operations(answers: Answers) -> None:
    expected = answers.expected
    kernels = {"int8": expected.by_itself, "fp32": "not needed", "int8 switched on": "on"}
    for model, text in answers.of("info").items():
        backend = json.loads(text)["backend"]
        assert backend["name"] == expected.name
        assert backend["version"].startswith(expected.version)
        assert backend["int8_kernels"] == kernels[model]
        if kernels[model] == "off":
            assert "the self-test could not be run" in backend["int8_kernels_reason"]
            assert backend["delegated_ops"] == 0
        else:
            assert backend["int8_kernels_reason"] == ""
            assert backend["delegated_ops"] >= backend["total_ops"] - 2 > 0  # INT8's mean or softmax may be left


def test_pictures_are_classified_as_here(answers: Answers, tiny_models: TinyModels, pictures: Path) -> None:
    lines = [json.loads(line) for line in answers.printed["classify", "int8"].splitlines()]
    there = {Path(line["picture"]).stem: line["categories"][0]["label"] for line in lines}
    with Classifier(tiny_models.int8) as classifier:
        tops = {path.stem: classifier.classify(cv2.imread(str(path))).top for path in pictures.iterdir()}
    assert there == {name: top.label for name, top in tops.items() if top}
    assert there == {label: label for label in LABELS}
