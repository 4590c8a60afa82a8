"""An inference takes as many instructions as when they were last counted: what no busy machine's clock could tell."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from benchmarks.harness.results import default_path, read
from benchmarks.runtime.arm_counts import WAYS, figure_name
from benchmarks.subjects.models import build_pair
from tests.pi.device import PI_4, PI_5, Cpu, Device
from tests.pi.instructions import build_plugin, count_instructions

logger = logging.getLogger(__name__)

TOLERANCE = 0.02
BACKBONE = "mobilenet_v2_0.35"


@pytest.fixture(scope="module")
def int8_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pair(tmp_path_factory.mktemp("models"), BACKBONE).int8


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.mark.parametrize(("name", "cpu"), [("tflite_int8", PI_4), ("litert_int8", PI_5)], ids=["tflite", "litert"])
def test_an_inference_takes_the_instructions_that_were_counted(
    name: str, cpu: Cpu, devices: Mapping[str, Future[Device]], plugin: Path, int8_model: Path
) -> None:
    (way,) = (way for way in WAYS if way.name == name)
    device = devices[way.release].result()
    counted = count_instructions(device, cpu, plugin, int8_model, int8_kernels=way.int8_kernels)
    millions = counted.instructions / 1e6
    stored = read(default_path("arm_counts")).measurements["arm_counts"].figures
    (reference,) = (figure for figure in stored if figure.name == figure_name(name, cpu.name, BACKBONE))
    version = f"{counted.backend['name']} {counted.backend['version']}"
    if version not in reference.conditions:
        pytest.skip(f"{version} came out since they were counted ({reference.conditions}): count again")
    logger.info("%s, %s: %.3f million instructions, %.3f stored", way.title, cpu.name, millions, reference.value)
    assert millions == pytest.approx(reference.value, rel=TOLERANCE), (
        f"Expected {reference.value:.3f} million instructions for an inference ({reference.conditions}), "
        f"got {millions:.3f} with {version}. Find what changed; "
        "where it is meant, count again: python -m benchmarks arm_counts && python -m benchmarks --render"
    )
