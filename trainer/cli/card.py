"""``edge-trainer card``: writes a model card from what a model file says of itself."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    card = add_command(commands, "card", "write a model card (Markdown) from a model file, on stdout", _card)
    card.add_argument("model", metavar="MODEL", help="the .tflite file; a run's own card, model_card.md, tells more")


def _card(arguments: argparse.Namespace) -> int:
    from edge_runtime import read_model_file
    from trainer.reports.model_card import model_card

    print(model_card(read_model_file(arguments.model)), end="")
    return 0
