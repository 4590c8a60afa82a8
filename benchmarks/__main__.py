"""``python -m benchmarks``: measures what README promises; progress on stderr, the table on stdout."""

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
"""The folder that each measurement's module lies in; in the order in which they are taken."""
MEASUREMENTS = tuple(ROOM_OF)
SLOW = MEASUREMENTS[MEASUREMENTS.index("augmentation") :]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when a measurement failed; a target that isn't met is a result, not a failure."""
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
        prog="python -m benchmarks", description="Measures what README promises, and keeps the results for its table."
    )
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help=f"any of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--full", action="store_true", help=f"all of them, the slow ones ({', '.join(SLOW)}) too")
    parser.add_argument("--quick", action="store_true", help="a look, for which little is measured and nothing is kept")
    parser.add_argument("--again", action="store_true", help="forget the seeds that are kept, instead of going on")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the results here (default: this machine's file)")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing: put the kept results into both README.md"
    )
    return parser


def _name(text: str) -> str:
    if text not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(MEASUREMENTS)}, got {text!r}")
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
        _say(f"other programs are busy (load {load}): figures will vary")
    return load


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
