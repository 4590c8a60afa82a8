"""``edge-trainer train``: trains, quantizes, checks and reports."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_gate, add_recipe, add_track, gate_settings


def add(commands: Any) -> None:
    """Adds the command."""
    train = add_command(commands, "train", "train, quantize, check and report", _train)
    train.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    train.add_argument("--to", required=True, metavar="RUN", help="a new folder, or a run that was stopped")
    add_recipe(train, "finetune.epochs=10")
    train.add_argument("--backbone", metavar="NAME", help="--set model.backbone=NAME; see: edge-trainer backbones")
    train.add_argument("--weights", metavar="imagenet|none|FILE", help="--set model.weights=…")
    train.add_argument(
        "--teacher", metavar="NAME|RUN|FILE", help="distil from a backbone, a finished run or a .keras file"
    )
    train.add_argument("--keep-macs", type=float, metavar="SHARE", help="prune channels to this share, as 0.5")
    train.add_argument("--sparsity", type=float, metavar="SHARE", help="set this share of the weights to zero, as 0.75")
    train.add_argument("--io", choices=("int8", "uint8"), help="of the INT8 model's input and output; default: int8")
    train.add_argument(
        "--distribute",
        choices=("gpus", "workers"),
        help="fine-tune on all GPUs, or on the machines of TF_CONFIG: the same command on each",
    )
    add_gate(train)
    add_track(train)


def _train(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.reports.summary import format_result
    from trainer.training.distribution.cluster import Cluster
    from trainer.types import require_kept
    from trainer.workflows.train.pipeline import train, train_along

    given = {
        "model": {"backbone": arguments.backbone, "weights": arguments.weights},
        "distill": {"teacher": arguments.teacher},
        "prune": {"keep_macs": arguments.keep_macs},
        "sparsify": {"sparsity": arguments.sparsity},
        "quantize": {"io": arguments.io},
        "gate": gate_settings(arguments),
        "track": {"uri": arguments.track},
    }
    settings = {table: {k: v for k, v in values.items() if v is not None} for table, values in given.items()}
    recipe = read_recipe(arguments.recipe, arguments.set).updated(settings)
    if arguments.distribute:  # else TensorFlow's log would call each worker crashed that has done its part and left
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if arguments.distribute == "workers" and Cluster.from_environment().index > 0:
        # TensorFlow's waiting for the chief doesn't let Python's handler run; nothing is lost with this process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        train_along(arguments.photos, recipe)
        return 0
    result = train(arguments.photos, arguments.to, recipe, distribute=arguments.distribute)
    print(format_result(result))
    require_kept(result.verdict)
    return 0
