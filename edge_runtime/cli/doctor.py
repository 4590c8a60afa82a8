"""``edge-runtime doctor``: find problems of a device, with the command that fixes each."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.values import add_command


def add(commands: Any) -> None:
    """Add the command."""
    doctor = add_command(
        commands,
        "doctor",
        "Check this device's software, cameras, power and memory, and suggest fixes",
        _doctor,
        examples=(
            "edge-runtime doctor",
            "edge-runtime doctor model_int8.tflite",
            "edge-runtime doctor model_int8.tflite --require-signature door.pub.pem --json",
        ),
        notes="Exit status: 0, or 1 if there is a problem.",
    )
    doctor.add_argument("model", nargs="?", metavar="MODEL", help="A .tflite file to open and verify as well")
    doctor.add_argument(
        "--require-signature",
        metavar="KEY.pub.pem",
        help="Public key; MODEL must be signed with its private key",
    )
    doctor.add_argument("--json", action="store_true", help="Print JSON")


def _doctor(arguments: argparse.Namespace) -> int:
    from edge_runtime.device.doctor import examine

    findings = []
    for finding in examine(arguments.model, require_signature=arguments.require_signature):
        findings.append(finding)
        if not arguments.json:
            print(f"{finding.level:<8} {finding.subject}: {finding.found}", flush=True)
            if finding.mend:
                print(f"         → {finding.mend}", flush=True)
    count = {level: sum(finding.level == level for finding in findings) for level in ("problem", "warning")}
    if arguments.json:
        facts = {"problems": count["problem"], "warnings": count["warning"]}
        print(json.dumps({**facts, "findings": [finding.to_dict() for finding in findings]}, indent=1))
    else:
        print(", ".join(f"{number} {level}{'s' * (number != 1)}" for level, number in count.items()))
    return 1 if count["problem"] else 0
