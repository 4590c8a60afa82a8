"""``edge-trainer train``: train, quantize, check and report."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_gate, add_recipe, add_track, gate_settings
from trainer.config import ModelConfig, QuantizeConfig
from trainer.config.require import choices


def add(commands: Any) -> None:
    """Add the command."""
    examples = (
        "photos --to runs/first",
        "photos --to runs/few --recipe few",
        "photos --to runs/large --backbone mobilenet_v2_1.0 --set finetune.epochs=30 --max-drop 0.5",
    )
    summary = "Train a classifier, quantize it to INT8, check its accuracy and write a report"
    train = add_command(commands, "train", summary, _train, examples)
    train.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    train.add_argument("--to", required=True, metavar="RUN", help="New folder, or an interrupted run")
    add_recipe(train, "finetune.epochs=10")
    train.add_argument(
        "--backbone",
        metavar="NAME",
        help=f"Network to train; edge-trainer backbones lists them (default: {ModelConfig.backbone})",
    )
    train.add_argument(
        "--weights",
        metavar="imagenet|auto|none|FILE",
        help=f"Initial weights; none trains from scratch (default: {ModelConfig.weights})",
    )
    train.add_argument(
        "--teacher", metavar="NAME|RUN|FILE", help="Distill from a backbone, a finished run or a .keras file"
    )
    train.add_argument(
        "--keep-macs", type=float, metavar="SHARE", help="Prune channels to this share of multiply-adds, such as 0.5"
    )
    train.add_argument(
        "--sparsity", type=float, metavar="SHARE", help="Set this share of the weights to zero, such as 0.75"
    )
    train.add_argument(
        "--io",
        choices=choices(QuantizeConfig)["io"],
        help=f"Dtype of the INT8 model's input and output (default: {QuantizeConfig.io})",
    )
    train.add_argument(
        "--distribute",
        choices=("gpus", "workers"),
        help="Fine-tune on all GPUs, or on the machines of TF_CONFIG with the same command on each",
    )
    add_gate(train)
    add_track(train)


def _train(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.reports.summary import format_result
    from trainer.training.distribution.cluster import Cluster
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
    if arguments.distribute:  # else TensorFlow logs that workers crashed when they finish
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if arguments.distribute == "workers" and Cluster.from_environment().index > 0:
        # While TensorFlow waits for the chief, Python's handler can't run; ending the process loses nothing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        train_along(arguments.photos, recipe)
        return 0
    result = train(arguments.photos, arguments.to, recipe, distribute=arguments.distribute)
    print(format_result(result))
    result.verdict.require_passed()
    return 0
