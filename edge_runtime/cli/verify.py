"""``edge-runtime verify``: proves on this machine that pixels and scores come out right."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.model import add_model, open_classifier
from edge_runtime.cli.options.values import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    verify = add_command(commands, "verify", "prove on this machine that pixels and scores come out right", _verify)
    add_model(verify)
    verify.add_argument("--json", action="store_true", help="as JSON")


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
        pixels = "same pixels" if check.pixels_equal else "OTHER PIXELS"
        top = "same answer" if check.same_top else "OTHER ANSWER"
        print(f"sample {number}: {pixels}, {top}, scores within {check.score_difference:.4f}")
    kernels = f"{backend.name} {backend.version}, INT8 kernels {backend.int8_kernels}"
    print(f"{'verified' if passed else 'NOT VERIFIED'}: {len(checks)} golden samples with {kernels}")
    return 0 if passed else 1
