"""``edge-runtime compare``: tells regressions from noise between two benchmarks."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_runtime.cli.options.values import add_command, positive_float

REGRESSION = 3
"""The exit status of a comparison that found one: neither an error nor wrong usage."""


def add(commands: Any) -> None:
    """Adds the command."""
    compare = add_command(
        commands, "compare", "tell regressions from noise between two reports of the benchmark", _compare
    )
    compare.epilog = f"Exit status: 0, or {REGRESSION} where something got worse."
    compare.add_argument("before", metavar="A.json", help="from benchmark --json")
    compare.add_argument("after", metavar="B.json", help="the same, after the change")
    compare.add_argument(
        "--tolerance",
        type=positive_float,
        default=3.0,
        metavar="P",
        help="smaller changes of speed don't count, in percent (default: %(default)s)",
    )
    compare.add_argument(
        "--force", action="store_true", help="compare other machines, invalid runs and other tasks, too"
    )
    compare.add_argument("--json", action="store_true", help="as JSON")


def _compare(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_runtime.benchmark.comparison import compare_reports, format_comparison, read_report

    before, after = read_report(arguments.before), read_report(arguments.after)
    found = compare_reports(before, after, tolerance=arguments.tolerance / 100, force=arguments.force)
    print(json.dumps(asdict(found), indent=1) if arguments.json else format_comparison(found))
    return REGRESSION if found.regressions else 0
