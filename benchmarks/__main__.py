"""``python -m benchmarks``: measure the figures in README; progress on stderr, the table on stdout."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from benchmarks.harness import isolated
from benchmarks.harness import results as stored
from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.subjects import answers
from benchmarks.table import figures_table, render_pages

ROOM_OF = {
    "classify_overhead": "runtime",
    "startup": "runtime",
    "live": "runtime",
    "capture": "runtime",
    "server": "runtime",
    "int8_kernels": "runtime",
    "agreement": "runtime",
    "scaling": "runtime",
    "rivals": "runtime",
    "head_training": "training",
    "file_size": "training",
    "augmentation": "training",
    "seeds": "training",
    "seeds_large": "training",
    "transfer": "training",
    "wall_time": "training",
    "search": "training",
    "extension": "training",
    "distillation": "training",
    "edge_model": "training",
    "channel_pruning": "training",
    "weight_pruning": "training",
    "int8_ladder": "training",
    "unknown": "training",
    "training_scaling": "training",
    "arm_counts": "runtime",
}
"""Folder of each measurement's module, in the order of measuring."""
MEASUREMENTS = tuple(ROOM_OF)
SLOW = MEASUREMENTS[MEASUREMENTS.index("augmentation") :]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, or 1 if a measurement failed. A missed target is a result, not a failure."""
    arguments = _parser().parse_args(argv)
    if arguments.render:
        return _render()
    names = arguments.names or [name for name in MEASUREMENTS if arguments.full or name not in SLOW]
    measured: list[Figure] = []
    failed = False
    for name in names:
        if arguments.again:
            answers.forget(name, arguments.quick)
        _say(f"{name}: measuring")
        load, start = _load(), monotonic()
        try:
            figures = isolated.measure(f"benchmarks.{ROOM_OF[name]}.{name}", arguments.quick)
        except MissingInputError as reason:
            _say(f"{name}: skipped, {reason}")
            continue
        except Exception:
            traceback.print_exc()
            _say(f"{name}: failed")
            failed = True
            continue
        _say(f"{name}: done in {monotonic() - start:.0f} s")
        measured += figures
        if arguments.out or not arguments.quick:
            _store(arguments.out or stored.default_path(name), name, figures, load)
    print(figures_table(measured))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the figures in README and store the results for its tables."
    )
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help=f"any of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--full", action="store_true", help=f"run all, including the slow ones ({', '.join(SLOW)})")
    parser.add_argument("--quick", action="store_true", help="measure only a little, and store nothing")
    parser.add_argument("--again", action="store_true", help="discard the stored seeds instead of resuming")
    parser.add_argument("--out", type=Path, metavar="FILE", help="file for the results (default: this machine's file)")
    parser.add_argument(
        "--render", action="store_true", help="only update the tables in both README.md files from the stored results"
    )
    return parser


def _name(text: str) -> str:
    if text not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"unknown measurement {text!r}; choose from {', '.join(MEASUREMENTS)}")
    return text


def _store(path: Path, name: str, figures: Sequence[Figure], load: float | None) -> None:
    results = stored.read(path) if path.exists() else stored.Results(stored.describe(path))
    stored.write(results.with_measurement(name, stored.record(figures, load), MEASUREMENTS), path)


def _render() -> int:
    for page, text in render_pages().items():
        page.write_text(text, encoding="utf-8")
    return 0


def _load() -> float | None:
    load = round(os.getloadavg()[0], 1)
    if load > 0.5 * (os.cpu_count() or 1):
        _say(f"other programs are busy (load {load}), so figures will vary")
    return load


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
