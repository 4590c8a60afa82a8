"""Soak test of the live loop on a camera that keeps failing: python -m benchmarks.runtime.soak MODEL --faults 10000.

Prints how many frames were classified wrongly, how far the counters are off, and how much memory, threads and files
grew. The exit status is 1 if any of them is not zero.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from benchmarks.subjects.faults import Holdings, impatient, mixed_faults, run_faults
from edge_runtime.benchmark.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

_MIB = 1 << 20
MOST_MEMORY_BYTES = 2 * _MIB


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("model", metavar="MODEL", help="model file (.tflite)")
    parser.add_argument("--faults", type=int, default=10_000, metavar="N", help="number (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the faults (default: %(default)s)")
    arguments = parser.parse_args(argv)
    from edge_runtime import CaptureRules, Classifier

    logging.getLogger("edge_runtime").setLevel(logging.ERROR)  # lost cameras are intended
    samples: list[Holdings] = []
    with Classifier(arguments.model, num_threads=1) as classifier, Progress("soak") as progress, impatient():
        run = run_faults(
            classifier,
            mixed_faults(rate=0.3, seconds=0.01, seed=arguments.seed, stall_s=0.3),
            count=arguments.faults,
            rules=CaptureRules(stall_timeout_s=0.15, freeze_timeout_s=0.01),
            size=(480, 640),
            on_result=lambda _: samples.append(Holdings.now()),
            on_fault=lambda number: progress.update(number / arguments.faults),
        )
    grown = Holdings.growth(samples)
    print(
        f"{run.faults} faults in {run.seconds:.0f} s: {run.results} frames classified, {run.reconnects} reconnects\n"
        f"invented {run.invented}, classified again {run.again}, stale {run.stale}, counted wrongly {run.uncounted}\n"
        f"grown by {grown.memory_bytes / _MIB:+.1f} MiB of {samples[-1].memory_bytes / _MIB:.0f}, "
        f"{grown.threads:+d} threads, {grown.files:+d} open files"
    )
    is_flat = grown.memory_bytes <= MOST_MEMORY_BYTES and grown.threads <= 0 and grown.files <= 0
    return 0 if run.wrong == run.uncounted == 0 and is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
