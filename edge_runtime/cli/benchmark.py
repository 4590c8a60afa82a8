"""``edge-runtime benchmark``: measure and compare models."""

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
"""Number of fresh processes that the rounds are spread over."""
SECONDS = 10.0
"""Duration of the rounds without ``--seconds``."""
PRECISION_SECONDS = 120.0
"""Maximum duration of the rounds with ``--precision`` and without ``--seconds``."""


def add(commands: Any) -> None:
    """Add the command."""
    benchmark = add_command(
        commands,
        "benchmark",
        "Measure latency, throughput, memory and accuracy of models on this machine",
        _benchmark,
        examples=(
            "edge-runtime benchmark model_int8.tflite --baseline model_fp32.tflite",
            "edge-runtime benchmark model_int8.tflite --threads auto",
            "edge-runtime benchmark model_int8.tflite --source 0 --data photos/test --json report.json",
        ),
    )
    add_model(benchmark, several=True)
    benchmark.add_argument("--baseline", metavar="MODEL", help="FP32 model that the others are compared with")
    benchmark.add_argument(
        "--source", metavar="SOURCE", help="Also measure this source's frame rate, and classify one of its frames"
    )
    benchmark.add_argument(
        "--data",
        metavar="PHOTOS",
        help="Also measure accuracy on the photos of this folder, with one subfolder per class",
    )
    benchmark.add_argument(
        "--minutes",
        type=positive_float,
        metavar="M",
        help="Afterwards run the first model at full speed for M minutes, to see thermal throttling",
    )
    benchmark.add_argument(
        "--operations",
        action="store_true",
        help="Also list each model's operators: their number, multiply-adds, and which of them XNNPACK runs",
    )
    stop = benchmark.add_argument_group("duration")
    stop.add_argument(
        "--seconds",
        type=positive_float,
        metavar="S",
        help=f"Measure for S seconds (default: {SECONDS:g}; with --precision at most {PRECISION_SECONDS:g})",
    )
    stop.add_argument(
        "--precision",
        type=positive_float,
        metavar="P",
        help="Measure until the 95%% confidence intervals of all ratios to the baseline are narrower than P percent",
    )
    stop.add_argument("--rounds", type=positive, metavar="N", help="Measure exactly N rounds")
    output = benchmark.add_argument_group("output files (- writes to stdout, instead of the table)")
    output.add_argument("--json", metavar="FILE", help="Full report; updated every ten seconds while it runs")
    output.add_argument("--markdown", metavar="FILE", help="Tables as Markdown")
    output.add_argument("--csv", metavar="FILE", help="One line per model, with all figures")
    output.add_argument(
        "--picture", metavar="FILE.svg", help="Chart of latency with intervals, and of accuracy against latency"
    )


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
        raise OutputError("Only one output can go to stdout (-). Give file names for the others.")
    if arguments.picture and not arguments.picture.endswith((".svg", "-")):
        raise OutputError(f"Cannot draw {arguments.picture}: the name of the picture must end in .svg.")
    _check_threads(arguments.num_threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the rounds and report them
    paths = dict.fromkeys([*arguments.models, *([arguments.baseline] if arguments.baseline else [])])
    models, sweeps = _models(arguments, list(paths))
    report = benchmark(
        [options for path in paths for options in models[path]],
        baseline=models[arguments.baseline][0] if arguments.baseline else None,
        source=arguments.source,
        seconds=arguments.seconds or (PRECISION_SECONDS if arguments.precision else SECONDS),
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
    """Refuse more threads than cores: they would spin against one another, and an inference take minutes."""
    from edge_runtime.errors import BackendError
    from edge_runtime.inference.device_cache import usable_cores

    most = max((number or 1 for number in numbers), default=1) if isinstance(numbers, tuple) else 1
    if most > usable_cores():
        raise BackendError(f"Cannot use {most} threads on {usable_cores()} cores. Lower --num-threads.")


def _models(
    arguments: argparse.Namespace, paths: Sequence[str]
) -> tuple[dict[str, tuple[ClassifierOptions, ...]], tuple[ThreadSweep, ...]]:
    """Return the rows of each model, and the sweeps over threads if requested."""
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
                continue  # it will fail again in the benchmark, which reports it
            rows = (*rows[:number], replace(row, num_threads=sweeps[-1].best), *rows[number + 1 :])
        found[path] = rows
    return found, tuple(sweeps)


def _write_json(report: BenchmarkReport, target: str) -> None:
    write_text(Path(target), json.dumps(report.to_dict(), indent=1) + "\n")
