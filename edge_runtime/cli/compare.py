"""``edge-runtime compare``: find regressions between two benchmark reports."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.values import add_command, positive_float

REGRESSION = 3
"""Exit status if there is a regression, to tell it from an error (1) and wrong usage (2)."""


def add(commands: Any) -> None:
    """Add the command."""
    compare = add_command(
        commands,
        "compare",
        "Compare two benchmark reports, and tell regressions from noise",
        _compare,
        examples=(
            "edge-runtime compare before.json after.json",
            "edge-runtime compare before.json after.json --tolerance 5 --json",
        ),
        notes=f"Exit status: 0, or {REGRESSION} if there is a regression.",
    )
    compare.add_argument("before", metavar="A.json", help="Report written by 'edge-runtime benchmark --json'")
    compare.add_argument("after", metavar="B.json", help="Report of the same benchmark after the change")
    compare.add_argument(
        "--tolerance", type=positive_float, default=3.0, metavar="P", help="Ignore changes in speed below P percent"
    )
    compare.add_argument(
        "--force", action="store_true", help="Compare even if machines or tasks differ, or a run is invalid"
    )
    compare.add_argument("--json", action="store_true", help="Print JSON")


def _compare(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_runtime.benchmark.comparison import compare_reports, format_comparison, read_report

    before, after = read_report(arguments.before), read_report(arguments.after)
    found = compare_reports(before, after, tolerance=arguments.tolerance / 100, force=arguments.force)
    print(json.dumps(asdict(found), indent=1) if arguments.json else format_comparison(found))
    return REGRESSION if found.regressions else 0
