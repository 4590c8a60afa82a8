"""``edge-trainer compress``: prunes and quantizes a Keras model as far as the promise holds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from trainer.cli.options import add_command, add_external, add_recipe


def add(commands: Any) -> None:
    """Adds the command."""
    compress = add_command(
        commands, "compress", "prune and quantize a Keras model as far as the promise holds", _compress
    )
    compress.add_argument("model", metavar="KERAS_MODEL", help="a functional Keras 2 model with scores at its end")
    compress.add_argument("photos", metavar="PHOTOS", help="to train with, as for train")
    add_external(compress)
    compress.add_argument("--target-fps", type=float, metavar="FPS", help="at least, on this machine and one thread")
    compress.add_argument("--target-size", type=float, metavar="KIB", help="of the INT8 file, at most")
    add_recipe(compress, "prune.epochs=8")
    compress.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy it may lose to FP32; default: 1")


def _compress(arguments: argparse.Namespace) -> int:
    from edge_runtime.model.file import read_labels
    from trainer.config.recipe_file import read_recipe
    from trainer.reports.summary import format_compressed
    from trainer.types import require_kept
    from trainer.workflows.external.compress import Target, compress

    recipe = read_recipe(arguments.recipe, arguments.set)
    if arguments.max_drop is not None:
        recipe = recipe.updated({"gate": {"max_drop": arguments.max_drop}})
    size = arguments.target_size
    made = compress(
        Path(arguments.model),
        Path(arguments.photos),
        Path(arguments.to),
        recipe,
        normalize=arguments.normalize,
        target=Target(arguments.target_fps, None if size is None else round(1024 * size)),
        crop=arguments.crop,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        announce=lambda line: print(line, file=sys.stderr),
    )
    print(format_compressed(made))
    require_kept(made.verdict)
    return 0
