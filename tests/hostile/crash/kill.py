"""Kill a run at random moments of all its stages, resume it, and compare its models with those of an undisturbed run.

    python -m tests.hostile.crash.kill --count 200 --seed 0

With ``--extends``, the runs extend a finished one by a class.

Everything is written to ``build/crash``; a run with different models stays there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import cv2

from tests.hostile.crash.recipes import ALL_STAGES, FEW_STAGES
from tests.support.tiny import LABELS, write_photos
from trainer.config import Recipe
from trainer.config.recipe_file import write_recipe
from trainer.runs.run import load_run, stage_records
from trainer.workflows.train.pipeline import STAGES

_KILLS_PER_RUN = 70
_PATIENCE_S = 600.0
_CACHE = "cache/edge_trainer"
TAG = "EDGE_TRAINER_CRASH"  # in the environment of all processes of a run
_PRELOAD = [
    "trainer.cli.main",
    "trainer.workflows.train.pipeline",
    "tensorflow",
    "tf_keras",
    "tensorflow_model_optimization",
]


class BrokenRunError(AssertionError):
    """A run lost files or left temporary ones behind."""


class Killer:
    """Starts processes of one run, one after the other, and kills them.

    Processes are forked from one that has already imported TensorFlow, which takes longer than most stages.

    Attributes:
        killed: Number of kills by stage, ``"before"`` the first one, and ``"between"`` two stages.
    """

    def __init__(self, folder: Path, recipe: Recipe, *, photos: int, seed: int, extends: bool = False) -> None:
        """Make photos and an undisturbed run.

        Args:
            folder: New folder for all files.
            recipe: Recipe of the run.
            photos: Number of photos per class.
            seed: Seed of the random moments.
            extends: Whether to kill extensions of a finished run of the recipe.
        """
        self.killed: Counter[str] = Counter()
        self._folder, self._rng, self._runs, self._told_before = folder, random.Random(seed), 0, 0
        write_recipe(recipe, folder / "recipe.toml")
        pictures = write_photos(folder / "photos", photos)
        self._begin = ["train", str(pictures), "--recipe", str(folder / "recipe.toml")]
        os.environ.update(SOURCE_DATE_EPOCH="1700000000", XDG_CACHE_HOME=str(folder / "cache"), **{TAG: str(folder)})
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOAD)
        if extends:
            base, begin = folder / "base", ["extend", str(folder / "base"), str(_negatives(pictures, folder / "more"))]
            self._finished(base, self._start(base))
            shutil.rmtree(folder / "cache")
            self._begin = begin
        whole = folder / "undisturbed"
        self._finished(whole, self._start(whole))
        self._stages = [stage.name for stage in STAGES if stage.wanted(load_run(whole).recipe)]
        self._models, self._names = model_files(whole), names(whole) | names(folder / _CACHE)
        self._seconds = {name: record["seconds"] for name, record in stage_records(load_run(whole)).items()}

    def run(self, count: int) -> None:
        """Start a new run, kill it ``count`` times, and let it finish.

        Raises:
            BrokenRunError: The run lost files or left temporary ones behind.
        """
        self._runs += 1
        run, planned = self._folder / f"run{self._runs}", Counter(self._rng.choices(self._stages, k=count))
        shutil.rmtree(self._folder / "cache", ignore_errors=True)
        shutil.rmtree(run, ignore_errors=True)
        hashes: dict[str, str] = {}
        process = self._start(run)
        for stage in self._stages:
            for _ in range(planned[stage]):
                self._kill(process, run, stage)
                self._check_finished(run, hashes)
                process = self._start(run)
        self._finished(run, process)
        self._check_finished(run, hashes)
        if model_files(run) != self._models:
            raise BrokenRunError(f"{run}: the models differ from those of the undisturbed run")
        found = names(run) | names(self._folder / _CACHE)
        if found != self._names:
            raise BrokenRunError(f"{run}: unexpected or missing files: {sorted(found ^ self._names)}")
        shutil.rmtree(run)

    def _start(self, run: Path) -> ForkServerProcess:
        arguments = ["resume", str(run)] if (run / "run.json").exists() else [*self._begin, "--to", str(run)]
        log = run.with_suffix(".log")
        self._told_before = log.stat().st_size if log.exists() else 0
        process = self._context.Process(target=_work, args=(arguments, str(log)))
        process.start()
        return process

    def _kill(self, process: ForkServerProcess, run: Path, stage: str) -> None:
        """Kill it at a random moment of a stage, at the start of the next one, or sometimes before the first one."""
        share, early = self._rng.uniform(0, 1.1), self._rng.random() < 0.3
        if early and stage == self._stages[0]:
            process.join(share)
        else:
            started = time.monotonic()
            while not self._has_begun(run, stage):
                self._check_alive(process, run, started)
                time.sleep(0.005)
            following = self._stages[self._stages.index(stage) + 1 :]
            until = time.monotonic() + share * self._seconds[stage]
            while process.is_alive() and time.monotonic() < until:
                if following and self._has_begun(run, following[0]):
                    break
                time.sleep(0.005)
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            return  # it had already ended
        begun = [name for name in self._stages if (run / "stages" / f".{name}.partial").exists()]
        done = [name for name in self._stages if (run / "stages" / name).exists()]
        self.killed[begun[0] if begun else "between" if done else "before"] += 1
        if stage in done:  # a resumed stage may be much faster than the first attempt
            took = stage_records(load_run(run))[stage]["seconds"]
            self._seconds[stage] = min(self._seconds[stage], took)

    def _has_begun(self, run: Path, stage: str) -> bool:
        """Whether the current process has reached a stage, according to its log."""
        title = next(one.title for one in STAGES if one.name == stage)
        try:
            with run.with_suffix(".log").open("rb") as log:
                log.seek(self._told_before)
                return title in log.read().decode(errors="replace")
        except FileNotFoundError:
            return False

    def _finished(self, run: Path, process: ForkServerProcess) -> None:
        process.join(_PATIENCE_S)
        if process.exitcode not in (0, 1) or "Model card " not in run.with_suffix(".log").read_text():
            process.kill()
            raise BrokenRunError(f"{run}: ended with {process.exitcode}, see its .log")
        until = time.monotonic() + 60
        while left := list(tagged_processes(self._folder)):
            if time.monotonic() > until:
                raise BrokenRunError(f"{run}: processes {left} are still running")
            time.sleep(0.2)

    def _check_alive(self, process: ForkServerProcess, run: Path, started: float) -> None:
        if process.exitcode is not None or time.monotonic() - started > _PATIENCE_S:
            raise BrokenRunError(f"{run}: no progress (exit status {process.exitcode}), see its .log")

    def _check_finished(self, run: Path, hashes: dict[str, str]) -> None:
        """Check that the files of finished stages have not changed."""
        folders = [run / "stages" / stage for stage in self._stages]
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        found = {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        changed = [name for name, value in hashes.items() if found.get(name) != value]
        if changed:
            raise BrokenRunError(f"{run}: {changed} of finished stages have changed")
        hashes.update(found)


def _negatives(photos: Path, to: Path) -> Path:
    """Write photos of a new class, the negatives of an existing one."""
    from trainer.data.images import read_image

    (to / "negative").mkdir(parents=True)
    for photo in sorted((photos / LABELS[0]).iterdir()):
        cv2.imwrite(str(to / "negative" / photo.name), 255 - read_image(photo))
    return to


def _work(arguments: list[str], log: str) -> None:
    """Run the command line, in the process to kill."""
    from trainer.cli.main import main

    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.exit(main(arguments))


def model_files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.tflite"))}


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def tagged_processes(folder: Path) -> Iterator[int]:
    """Yield the processes of runs in a folder, without this one and its fork server."""
    tag = f"{TAG}={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # it has ended, or belongs to another user
            continue
        if tag in environment.split(b"\0") and b"multiprocessing" not in command:
            yield int(process.name)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and resume them.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--extends", action="store_true", help="kill extensions of a finished run")
    arguments = parser.parse_args()
    folder = Path("build/crash").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    recipe = FEW_STAGES if arguments.extends else ALL_STAGES
    killer = Killer(folder, recipe, photos=20, seed=arguments.seed, extends=arguments.extends)
    while (left := arguments.count - killer.killed.total()) > 0:
        killer.run(min(left, _KILLS_PER_RUN))
        print(f"{killer.killed.total()} kills, {dict(killer.killed)}: the same models", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
