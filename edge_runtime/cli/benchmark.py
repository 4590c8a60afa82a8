"""``edge-runtime benchmark``: measures models against one another."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.cli.options.model import add_model, options_of
from edge_runtime.cli.options.values import add_command, positive, positive_float, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.benchmark import BenchmarkReport
    from edge_runtime.benchmark.report import ThreadSweep
    from edge_runtime.inference.interpreter import Int8Kernels
    from edge_runtime.inference.options import ClassifierOptions

PROCESSES = 6
LIMIT_S = 120.0


def add(commands: Any) -> None:
    """Adds the command."""
    benchmark = add_command(commands, "benchmark", "measure models against one another on this machine", _benchmark)
    add_model(benchmark, several=True)
    benchmark.add_argument("--baseline", metavar="MODEL", help="the FP32 model that the others are compared with")
    benchmark.add_argument(
        "--source", metavar="SOURCE", help="also measure how fast it gives frames, and classify one of it; as for run"
    )
    benchmark.add_argument(
        "--data", metavar="PHOTOS", help="measure accuracy on them too: a folder with one for each class"
    )
    benchmark.add_argument(
        "--minutes",
        type=positive_float,
        metavar="M",
        help="then run the first model at full speed for M minutes",
    )
    benchmark.add_argument(
        "--operations",
        action="store_true",
        help="also list each model's operations: how many, their multiply-adds, and which XNNPACK runs",
    )
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
    output.add_argument("--picture", metavar="FILE.svg", help="bars with intervals, and accuracy against latency")


def _benchmark(arguments: argparse.Namespace) -> int:
    import signal

    from edge_runtime.benchmark import (
        benchmark,
        format_csv,
        format_markdown,
        format_operations,
        format_svg,
        format_text,
    )
    from edge_runtime.errors import OutputError

    targets = (arguments.json, arguments.markdown, arguments.csv, arguments.picture)
    if targets.count("-") > 1:
        raise OutputError("Expected at most one output to go to stdout (-), got several. Name files.")
    if arguments.picture and not arguments.picture.endswith((".svg", "-")):
        raise OutputError(f"Expected a name that ends in .svg for the picture, got {arguments.picture}.")
    _check_threads(arguments.num_threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the rounds, and what was measured is told
    paths = dict.fromkeys([*arguments.models, *([arguments.baseline] if arguments.baseline else [])])
    models, sweeps = _models(arguments, list(paths))
    report = benchmark(
        [options for path in paths for options in models[path]],
        baseline=models[arguments.baseline][0] if arguments.baseline else None,
        source=arguments.source,
        seconds=arguments.seconds or (LIMIT_S if arguments.precision else 10.0),
        rounds=arguments.rounds,
        precision=arguments.precision and arguments.precision / 100,
        processes=PROCESSES,
        photos=arguments.data,
        minutes=arguments.minutes,
        keep=(lambda so_far: _write_json(so_far, arguments.json)) if arguments.json not in (None, "-") else None,
    )
    report = replace(report, sweeps=sweeps)
    texts = (
        (arguments.json, json.dumps(report.to_dict(), indent=1)),
        (arguments.markdown, format_markdown(report)),
        (arguments.csv, format_csv(report)),
        (arguments.picture, format_svg(report)),
    )
    if all(target != "-" for target, _ in texts):
        print(format_text(report))
        if arguments.operations:
            print(f"\n{format_operations(report)}")
    for target, text in texts:
        if target == "-":
            print(text)
        elif target:
            write_text(Path(target), text + "\n")
    if report.ended_by == "interrupted":
        return 130
    return 1 if report.failures else 0


def _check_threads(numbers: tuple[int | None, ...] | str) -> None:
    """More threads than cores spin against one another, and an inference takes minutes."""
    from edge_runtime.errors import BackendError
    from edge_runtime.inference.device_cache import usable_cores

    most = max((number or 1 for number in numbers), default=1) if isinstance(numbers, tuple) else 1
    if most > usable_cores():
        raise BackendError(f"Expected no more threads than the {usable_cores()} cores that may be used, got {most}.")


def _models(
    arguments: argparse.Namespace, paths: Sequence[str]
) -> tuple[dict[str, tuple[ClassifierOptions, ...]], tuple[ThreadSweep, ...]]:
    """The rows of each model, and the sweeps over threads that were asked for."""
    from edge_runtime.benchmark import sweep_threads, variations
    from edge_runtime.errors import EdgeRuntimeError
    from edge_runtime.inference.interpreter import installed_backends
    from edge_runtime.sources.synthetic import SyntheticSource

    backends = installed_backends() if arguments.backend == "all" else (arguments.backend,)
    kernels: tuple[Int8Kernels, ...] = ("on", "off") if arguments.int8_kernels == "both" else (arguments.int8_kernels,)
    found, sweeps = {}, []
    for path in paths:
        options, automatic = options_of(arguments, path), arguments.num_threads == "auto"
        numbers = (None,) if automatic else arguments.num_threads
        rows = variations(options, backends=backends, int8_kernels=kernels, num_threads=numbers)
        for number, row in enumerate(rows if automatic else ()):
            try:
                sweeps.append(sweep_threads(row, SyntheticSource().draw(0)))
            except EdgeRuntimeError:
                continue  # it fails again below, where it becomes a row
            rows = (*rows[:number], replace(row, num_threads=sweeps[-1].best), *rows[number + 1 :])
        found[path] = rows
    return found, tuple(sweeps)


def _write_json(report: BenchmarkReport, target: str) -> None:
    write_text(Path(target), json.dumps(report.to_dict(), indent=1) + "\n")
