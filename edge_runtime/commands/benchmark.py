"""``edge-runtime benchmark``: measures models against one another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge_runtime.commands.model_options import add_model, open_classifier
from edge_runtime.commands.options import add_command, positive_float, write_text


def add(commands: Any) -> None:
    """Adds the command."""
    benchmark = add_command(commands, "benchmark", "measure models against one another on this machine", _benchmark)
    add_model(benchmark, several=True)
    benchmark.add_argument("--baseline", metavar="MODEL", help="the FP32 model that the others are compared with")
    benchmark.add_argument(
        "--seconds", type=positive_float, default=10.0, help="how long to measure (default: %(default)s)"
    )
    benchmark.add_argument("--json", metavar="FILE", help="also write the report as JSON; - for stdout")
    benchmark.add_argument("--markdown", metavar="FILE", help="also write the table as Markdown; - for stdout")


def _benchmark(arguments: argparse.Namespace) -> int:
    from contextlib import ExitStack

    from edge_runtime.benchmark import benchmark, format_markdown, format_text

    given = [*arguments.models, *([arguments.baseline] if arguments.baseline else [])]
    with ExitStack() as opened:
        # The baseline may be one of the models; it is measured once then.
        classifiers = {path: opened.enter_context(open_classifier(arguments, path)) for path in dict.fromkeys(given)}
        models = [classifiers[path] for path in dict.fromkeys(arguments.models)]
        report = benchmark(models, baseline=classifiers.get(arguments.baseline), seconds=arguments.seconds)
    outputs = [(arguments.json, json.dumps(report.to_dict(), indent=1)), (arguments.markdown, format_markdown(report))]
    if not any(target == "-" for target, _ in outputs):
        print(format_text(report))
    for target, text in outputs:
        if target == "-":
            print(text)
        elif target:
            write_text(Path(target), text + "\n")
    return 0
