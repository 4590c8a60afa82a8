"""Heat: a fresh process in which all models take turns. A benchmark spreads its rounds over several heats.

A process's memory layout is fixed when it starts, and decides which of a network's weights share cache lines: in about
one process of ten, one of two networks is 10% slower for the whole life of the process. More rounds in that process
cannot average this out; more processes can (Mytkowicz et al., "Producing wrong data without doing anything obviously
wrong!", 2009; Kalibera and Jones, 2013).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.benchmark.timing.contender import Contender, TurnTimes
from edge_runtime.benchmark.timing.rounds import StoppingRule, run_rounds
from edge_runtime.errors import BackendError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.options import ClassifierOptions

_MARK = "heat: "
_CODE = "from edge_runtime.benchmark.timing.heats import serve; serve()"
_TO_START_S = 300.0


@dataclass(frozen=True)
class Heat:
    """Measurements of one process.

    Attributes:
        turns: Turns of each model, one per round.
        warmup_runs: Number of warm-up classifications of each model.
        steady: Whether each model's latency was steady after the warm-up.
        interrupted: Whether an interrupt ended the rounds early.
    """

    turns: tuple[tuple[TurnTimes, ...], ...]
    warmup_runs: tuple[int, ...]
    steady: tuple[bool, ...]
    interrupted: bool = False


def run_heat(
    models: Sequence[ClassifierOptions], frame: NDArray[np.uint8], rule: StoppingRule, *, warmup: int | None, seed: int
) -> Heat:
    """Measure all models in turns in a fresh process.

    An interrupt ends the rounds; the result then contains the completed ones.

    Args:
        models: Models to measure; they are loaded in random order.
        frame: Frame to classify, uint8 (H, W, 3) BGR, 0–255.
        rule: When to stop.
        warmup: Number of warm-up runs per model; None warms up until the latency is steady.
        seed: Seed of the order of turns.

    Raises:
        BackendError: The process failed, was killed, or did not end in time.
        KeyboardInterrupt: Interrupted before the first round was complete.
    """
    import numpy as np

    job = {
        "models": [options.to_dict() for options in models],
        "rule": asdict(rule),
        "warmup": warmup,
        "seed": seed,
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "frame.npy", frame)
        try:
            # A separate session, so that Ctrl-C reaches the child only through us, and only once.
            child = subprocess.Popen(
                [sys.executable, "-c", _CODE, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(f"Cannot start a process for the benchmark: {error}.") from error
        with child:
            return _result(child, json.dumps(job), _TO_START_S + 2 * rule.seconds)


def _result(child: subprocess.Popen[str], job: str, timeout_s: float) -> Heat:
    interrupted = False
    try:
        try:
            out, messages = child.communicate(job, timeout=timeout_s)
        except KeyboardInterrupt:
            interrupted = True
            child.send_signal(signal.SIGINT)
            out, messages = child.communicate(timeout=_TO_START_S)
    except subprocess.TimeoutExpired:
        raise BackendError(f"The benchmark process did not end within {timeout_s:.0f} s.") from None
    finally:
        child.kill()  # no effect if it has ended
    for line in out.splitlines():
        if line.startswith(_MARK):
            return _heat_of(json.loads(line.removeprefix(_MARK)), interrupted)
    if interrupted:
        raise KeyboardInterrupt
    if child.returncode < 0:
        raise BackendError(
            f"The benchmark process was killed by signal {-child.returncode}: a crash of the interpreter, or no memory."
        )
    last = (messages.strip().splitlines() or [f"The benchmark process ended with status {child.returncode}."])[-1]
    raise BackendError(last.split("Error: ", 1)[-1])


def _heat_of(values: dict[str, Any], interrupted: bool) -> Heat:
    turns = tuple(tuple(TurnTimes(**turn) for turn in one) for one in values["turns"])
    return Heat(turns, tuple(values["warmup_runs"]), tuple(values["steady"]), interrupted or values["interrupted"])


def serve() -> None:
    """Run in the fresh process: read a job from stdin, and write the measurements as one line to stdout."""
    import random

    import numpy as np

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.options import ClassifierOptions

    # A program started in the background ignores SIGINT by default.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = json.loads(sys.stdin.read())
    frame = np.load(Path(sys.argv[1]) / "frame.npy")
    order = random.Random(job["seed"])
    models = [ClassifierOptions.from_dict(options) for options in job["models"]]
    in_turn = order.sample(range(len(models)), len(models))
    opened = {index: Contender(Classifier.from_options(models[index])) for index in in_turn}
    contenders = [opened[index] for index in range(len(models))]
    try:
        for contender in contenders:
            contender.warm_up(frame, job["warmup"])
        done = run_rounds(contenders, frame, StoppingRule(**job["rule"]), order)
    except KeyboardInterrupt:
        sys.exit(130)
    values = {
        "turns": [[asdict(turn) for turn in contender.turns] for contender in contenders],
        "warmup_runs": [contender.warmup_runs for contender in contenders],
        "steady": [contender.steady for contender in contenders],
        "interrupted": done.ended_by == "interrupted",
    }
    print(_MARK + json.dumps(values), flush=True)
