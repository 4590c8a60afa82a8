"""``edge-trainer card``: write a model card from a model file's metadata."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("runs/first/model_int8.tflite", "model.tflite > card.md")
    summary = "Print a model card (Markdown) from a model file's metadata"
    card = add_command(commands, "card", summary, _card, examples)
    card.add_argument("model", metavar="MODEL", help=".tflite file; the model_card.md in a run's folder says more")


def _card(arguments: argparse.Namespace) -> int:
    from edge_runtime import read_model_file
    from trainer.reports.model_card import model_card

    print(model_card(read_model_file(arguments.model)), end="")
    return 0
