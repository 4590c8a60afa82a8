"""``edge-trainer quantize``: quantize a Keras model that was trained elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from edge_runtime.types import Activation
from trainer.cli.options import PHOTOS, add_command, add_external, add_gate, gate_settings
from trainer.config import GateConfig, QuantizeConfig, Recipe
from trainer.config.require import choices


def add(commands: Any) -> None:
    """Add the command."""
    examples = (
        "my_model.keras --representative photos --normalize 0..1 --to runs/quantized",
        "saved_model --representative photos --normalize imagenet --labels labels.txt --to runs/quantized",
    )
    summary = "Quantize a Keras model that was trained elsewhere to INT8"
    quantize = add_command(commands, "quantize", summary, _quantize, examples)
    quantize.add_argument("model", metavar="KERAS_MODEL", help=".keras or .h5 file, or SavedModel folder")
    quantize.add_argument(
        "--representative", required=True, metavar="PHOTOS", help=f"Labeled photos like those in use: {PHOTOS}"
    )
    add_external(quantize)
    quantize.add_argument(
        "--activation", choices=get_args(Activation), help="Activation of the output (default: read from the network)"
    )
    quantize.add_argument(
        "--samples", type=int, default=256, metavar="N", help="Size of the calibration set (default: %(default)s)"
    )
    quantize.add_argument(
        "--io",
        choices=choices(QuantizeConfig)["io"],
        default=QuantizeConfig.io,
        help="Dtype of the model's input and output (default: %(default)s)",
    )
    quantize.add_argument(
        "--seed", type=int, default=Recipe.seed, help="Seed for choosing the calibration set (default: %(default)s)"
    )
    add_gate(quantize)


def _quantize(arguments: argparse.Namespace) -> int:
    from edge_runtime.model.file import read_labels
    from trainer.reports.summary import format_models
    from trainer.workflows.external.quantize import quantize_keras_model

    made = quantize_keras_model(
        Path(arguments.model),
        Path(arguments.representative),
        Path(arguments.to),
        normalize=arguments.normalize,
        crop=arguments.crop,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        activation=arguments.activation,
        samples=arguments.samples,
        io=arguments.io,
        seed=arguments.seed,
        gate=GateConfig(**gate_settings(arguments)),
    )
    print(format_models(made.fp32, made.int8, {kind: {"val": e} for kind, e in made.evaluations.items()}, made.verdict))
    made.verdict.require_passed()
    return 0
