"""Importing is cheap: heavy packages are loaded by the functions that need them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "cv2", "tflite_runtime", "ai_edge_litert", "tensorflow", "tf_keras", "keras", "sklearn", "matplotlib")
HEAVY += ("PIL", "jinja2", "tqdm", "tomli_w", "importlib.metadata", "multiprocessing", "asyncio", "zipfile", "paho")
HEAVY += ("optuna", "mlflow")


def loaded_by(code: str) -> set[str]:
    """Return the heavy packages that a new interpreter has loaded after running some code."""
    code = f"{code}\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_nothing_heavy_is_loaded_before_anything_is_imported() -> None:
    assert loaded_by("") == set()


@pytest.mark.parametrize("package", ["edge_runtime", "trainer"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert loaded_by(f"import {package}") == set()


@pytest.mark.parametrize(
    ("module", "allowed"), [("edge_runtime.cli.main", set()), ("trainer.cli.main", {"importlib.metadata", "zipfile"})]
)
def test_help_loads_nothing_heavy(module: str, allowed: set[str]) -> None:
    assert loaded_by(f"from {module} import main\ntry: main(['--help'])\nexcept SystemExit: pass") <= allowed


@pytest.mark.parametrize(
    "module",
    [
        "edge_runtime.errors",
        "edge_runtime.types",
        "edge_runtime.device.systemd_notify",
        "edge_runtime.device.doctor",
        "trainer.errors",
        "trainer.types",
    ],
)
def test_values_and_errors_are_light(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


@pytest.mark.parametrize(
    "module",
    [
        "inference.classifier",
        "model.file",
        "pixels.preprocess",
        "inference.golden",
        "live_loop.loop",
        "live_loop.decision",
        "live_loop.frame_gate",
        "live_loop.capture",
        "sinks.pictures.collector",
        "sources",
        "sinks",
        "benchmark.runner",
        "model.signature",
        "inference.isolation.isolated_interpreter",
    ],
)
def test_the_runtime_itself_needs_numpy_alone(module: str) -> None:
    assert loaded_by(f"import edge_runtime.{module}") <= {"numpy"}


def test_the_settings_of_a_run_load_no_framework() -> None:
    assert loaded_by("from trainer import Recipe; Recipe()") == set()


def test_the_pipeline_loads_no_framework_until_it_runs() -> None:
    loaded = loaded_by("from trainer import train, evaluate_photos, quantize_keras_model, check_photos")
    assert loaded <= {"numpy", "importlib.metadata", "zipfile"}
