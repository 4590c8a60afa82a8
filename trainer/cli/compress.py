"""``edge-trainer compress``: prune and quantize a Keras model within the accuracy gate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_external, add_max_drop, add_recipe


def add(commands: Any) -> None:
    """Add the command."""
    examples = (
        "my_model.keras photos --normalize symmetric --to runs/small",
        "my_model.keras photos --normalize 0..1 --target-size 300 --to runs/small",
        "my_model.keras photos --normalize imagenet --target-fps 60 --max-drop 2 --to runs/fast",
    )
    summary = "Prune and quantize a Keras model as far as the accuracy gate allows"
    compress = add_command(commands, "compress", summary, _compress, examples)
    compress.add_argument("model", metavar="KERAS_MODEL", help="Functional Keras 2 model that ends in class scores")
    compress.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    add_external(compress)
    compress.add_argument(
        "--target-fps", type=float, metavar="FPS", help="Inferences per second to reach on this machine, on one thread"
    )
    compress.add_argument("--target-size", type=float, metavar="KIB", help="Largest size of the INT8 file, in KiB")
    add_recipe(compress, "prune.epochs=8")
    add_max_drop(compress)


def _compress(arguments: argparse.Namespace) -> int:
    from edge_runtime.model.file import read_labels
    from trainer.config.recipe_file import read_recipe
    from trainer.reports.summary import format_compressed
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
    made.verdict.require_passed()
    return 0
