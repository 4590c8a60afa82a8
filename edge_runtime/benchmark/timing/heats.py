"""The rounds, dealt out over fresh processes: each is a heat, in which all models take turns.

Where a process's memory lies is settled when it starts, and with it how a network's weights meet in the processor's
caches: in about one process of ten, one of two networks is 10% slower for as long as the process lives. Rounds inside
of it all tell the same and can't average it out; other processes can (Mytkowicz et al., "Producing wrong data without
doing anything obviously wrong!", 2009; Kalibera and Jones, 2013).
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
    """What one process measured.

    Attributes:
        turns: Of each model, one for each round.
        warmup_runs: Of each model.
        steady: Of each model, whether its latency was steady after them.
        interrupted: Whether it was ended before its rounds were over.
    """

    turns: tuple[tuple[TurnTimes, ...], ...]
    warmup_runs: tuple[int, ...]
    steady: tuple[bool, ...]
    interrupted: bool = False


def run_heat(
    models: Sequence[ClassifierOptions], frame: NDArray[np.uint8], rule: StoppingRule, *, warmup: int | None, seed: int
) -> Heat:
    """Lets all models take turns in a process of their own.

    An interrupt ends its rounds; it then tells of those that there were.

    Args:
        models: The models; they are opened in random order.
        frame: uint8 (H, W, 3) BGR.
        rule: When there have been enough rounds.
        warmup: Runs of each model before; None: until its latency is steady.
        seed: Of the order of turns.

    Raises:
        BackendError: The process failed, was killed, or took longer than its rounds should.
        KeyboardInterrupt: Before its first round had ended.
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
            # In a session of its own, so that a terminal's Ctrl-C reaches it through us, and once.
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
            raise BackendError(f"no process of its own could be started ({error})") from error
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
        raise BackendError(f"the models' own process hadn't ended after {timeout_s:.0f} s") from None
    finally:
        child.kill()  # nothing, where it has ended
    for line in out.splitlines():
        if line.startswith(_MARK):
            return _heat_of(json.loads(line.removeprefix(_MARK)), interrupted)
    if interrupted:
        raise KeyboardInterrupt
    if child.returncode < 0:
        raise BackendError(f"the models' own process was killed by signal {-child.returncode}")
    raise BackendError(
        (messages.strip().splitlines() or [f"exit status {child.returncode}"])[-1].split("Error: ", 1)[-1]
    )


def _heat_of(values: dict[str, Any], interrupted: bool) -> Heat:
    turns = tuple(tuple(TurnTimes(**turn) for turn in one) for one in values["turns"])
    return Heat(turns, tuple(values["warmup_runs"]), tuple(values["steady"]), interrupted or values["interrupted"])


def serve() -> None:
    """The process: reads a job from stdin and writes a line to stdout."""
    import random

    import numpy as np

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.options import ClassifierOptions

    # A program that was started in the background is deaf to it.
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
