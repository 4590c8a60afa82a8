"""``edge-runtime doctor``: says what is wrong with a device, and how to mend it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.values import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    doctor = add_command(commands, "doctor", "look this device over; exit status 1 where something won't work", _doctor)
    doctor.add_argument("model", nargs="?", metavar="MODEL", help="a .tflite file, to be opened and verified as well")
    doctor.add_argument("--require-signature", metavar="KEY.pub.pem", help="MODEL must be signed with this key")
    doctor.add_argument("--json", action="store_true", help="as JSON")


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
