"""``edge-trainer quantize``: quantizes a Keras model that was trained elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import add_command, add_external, add_gate, gate_settings


def add(commands: Any) -> None:
    """Adds the command."""
    quantize = add_command(commands, "quantize", "quantize a Keras model that was trained elsewhere", _quantize)
    quantize.add_argument("model", metavar="KERAS_MODEL", help=".keras, .h5 or a SavedModel folder")
    quantize.add_argument("--representative", required=True, metavar="PHOTOS", help="photos like those it will see")
    add_external(quantize)
    quantize.add_argument(
        "--activation", choices=("softmax", "sigmoid", "none"), help="default: read off the network's last operation"
    )
    quantize.add_argument("--samples", type=int, default=256, metavar="N", help="default: %(default)s")
    quantize.add_argument("--io", choices=("int8", "uint8"), default="int8", help="default: %(default)s")
    quantize.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    add_gate(quantize)


def _quantize(arguments: argparse.Namespace) -> int:
    from edge_runtime.model.file import read_labels
    from trainer.config import GateConfig
    from trainer.reports.summary import format_models
    from trainer.types import require_kept
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
    require_kept(made.verdict)
    return 0
