"""Adding a class with ``edge-trainer extend``: duration, and accuracy of the existing classes before and after."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import shared
from benchmarks.subjects.photo_runs import WORK, use_shared_weights

_DATA, _ADDED = "clothing", "hat"
_RECIPE = ("finetune.epochs=8", "finetune.train_size=0.6")


def measure(quick: bool) -> list[Figure]:
    found = _extended(quick)
    known, added = ([one for one in found["classes"] if (one["before"] is not None) is old] for old in (True, False))
    count, before, after = (sum(one[key] for one in known) for key in ("count", "before", "after"))
    recall = sum(one["after"] for one in added) / sum(one["count"] for one in added)
    return [
        Figure(
            "extension.seconds",
            f"A tenth class for a network of nine ({_DATA}), from the command to the INT8 model and its report",
            found["seconds"],
            "s",
            f"MobileNetV2 0.35, 224 px; {sum(one['added'] for one in added)} new photos of {_ADDED}, "
            f"{found['learned']:,} old ones as features; the known classes, FP32, {count} test photos: "
            f"{before / count:.1%} to {after / count:.1%}; {_ADDED}: {recall:.1%}",
            at_most=60.0,
        )
    ]


def _extended(quick: bool) -> dict[str, Any]:
    from trainer.config.recipe_file import read_recipe
    from trainer.runs.artifacts import read_extension
    from trainer.runs.run import load_run
    from trainer.workflows.train.pipeline import train

    use_shared_weights()
    here = (WORK / ("quick" if quick else "full") / "extension").resolve()
    known, new = here / "known", here / "new"
    for split in ("train", "test"):
        for folder in sorted(shared(f"data/{_DATA}/{split}").iterdir()):
            _link(folder, (new if folder.name == _ADDED else known) / split / folder.name)
    short = ("head.epochs=1", "finetune.epochs=1") if quick else ()
    train(known, here / "base", read_recipe("default", [*_RECIPE, *short]))
    shutil.rmtree(here / "extended", ignore_errors=True)
    command = [sys.executable, "-m", "trainer", "extend", str(here / "base"), str(new), "--to", str(here / "extended")]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    extension = read_extension(load_run(here / "extended"))
    assert extension is not None
    return {"seconds": seconds, **extension.to_dict()}


def _link(folder: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.exists():
        to.symlink_to(folder.resolve(), target_is_directory=True)
