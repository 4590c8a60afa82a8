"""``edge-runtime benchmark``: measures models against one another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.commands.model_options import add_model, setup_of
from edge_runtime.commands.options import add_command, positive, positive_float, write_text

if TYPE_CHECKING:
    from edge_runtime.benchmark import BenchmarkReport

PROCESSES = 3
LIMIT_S = 120.0


def add(commands: Any) -> None:
    """Adds the command."""
    benchmark = add_command(commands, "benchmark", "measure models against one another on this machine", _benchmark)
    add_model(benchmark, several=True)
    benchmark.add_argument("--baseline", metavar="MODEL", help="the FP32 model that the others are compared with")
    stop = benchmark.add_argument_group("when to stop")
    stop.add_argument(
        "--seconds", type=positive_float, metavar="S", help="of rounds (default: 10; with --precision at most 120)"
    )
    stop.add_argument(
        "--precision",
        type=positive_float,
        metavar="P",
        help="when the 95%% intervals of all ratios to the baseline are narrower than P percent of them",
    )
    stop.add_argument("--rounds", type=positive, metavar="N", help="after exactly N rounds")
    output = benchmark.add_argument_group("output, beside the table; - is stdout, instead of it")
    output.add_argument("--json", metavar="FILE", help="the whole report; kept every ten seconds while it runs")
    output.add_argument("--markdown", metavar="FILE", help="the tables as Markdown")
    output.add_argument("--csv", metavar="FILE", help="a line for each model, with every figure")


def _benchmark(arguments: argparse.Namespace) -> int:
    import signal

    from edge_runtime.benchmark import benchmark, format_csv, format_markdown, format_text
    from edge_runtime.errors import OutputError

    if [arguments.json, arguments.markdown, arguments.csv].count("-") > 1:
        raise OutputError("Expected at most one of --json, --markdown and --csv to go to stdout. Name a file.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the rounds, and what was measured is told
    models = [setup_of(arguments, path) for path in dict.fromkeys(arguments.models)]
    report = benchmark(
        models,
        baseline=setup_of(arguments, arguments.baseline) if arguments.baseline else None,
        seconds=arguments.seconds or (LIMIT_S if arguments.precision else 10.0),
        rounds=arguments.rounds,
        precision=arguments.precision and arguments.precision / 100,
        processes=PROCESSES,
        keep=(lambda so_far: _write_json(so_far, arguments.json)) if arguments.json not in (None, "-") else None,
    )
    texts = (
        (arguments.json, json.dumps(report.to_dict(), indent=1)),
        (arguments.markdown, format_markdown(report)),
        (arguments.csv, format_csv(report)),
    )
    if all(target != "-" for target, _ in texts):
        print(format_text(report))
    for target, text in texts:
        if target == "-":
            print(text)
        elif target:
            write_text(Path(target), text + "\n")
    if report.ended_by == "interrupted":
        return 130
    return 1 if report.failures else 0


def _write_json(report: BenchmarkReport, target: str) -> None:
    write_text(Path(target), json.dumps(report.to_dict(), indent=1) + "\n")
