"""``edge-runtime verify``: run a model's golden samples on this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.model import add_model, open_classifier
from edge_runtime.cli.options.values import add_command


def add(commands: Any) -> None:
    """Add the command."""
    verify = add_command(
        commands,
        "verify",
        "Check that a model computes the same pixels and scores here as in training",
        _verify,
        examples=(
            "edge-runtime verify model_int8.tflite",
            "edge-runtime verify model_int8.tflite --backend ai_edge_litert",
            "edge-runtime verify model_int8.tflite --int8-kernels off --json",
        ),
        notes="Exit status: 0 if all golden samples in the model file pass, otherwise 1.",
    )
    add_model(verify)
    verify.add_argument("--json", action="store_true", help="Print JSON")


def _verify(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_runtime.inference.golden import all_passed, verify_model

    with open_classifier(arguments) as classifier:
        checks = verify_model(classifier)
        backend = classifier.backend
    passed = all_passed(checks)
    if arguments.json:
        print(json.dumps({"passed": passed, "samples": [asdict(check) for check in checks]}, indent=1))
        return 0 if passed else 1
    for number, check in enumerate(checks, start=1):
        pixels = "same pixels" if check.pixels_equal else "DIFFERENT PIXELS"
        top = "same top class" if check.same_top else "DIFFERENT TOP CLASS"
        print(f"sample {number}: {pixels}, {top}, scores within {check.score_difference:.4f}")
    kernels = f"{backend.name} {backend.version}, INT8 kernels {backend.int8_kernels}"
    print(f"{'verified' if passed else 'NOT VERIFIED'}: {len(checks)} golden samples with {kernels}")
    return 0 if passed else 1
