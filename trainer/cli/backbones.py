"""``edge-trainer backbones``: list the available networks."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("", "| grep mobilenet")
    add_command(commands, "backbones", "List the available backbones", _backbones, examples)


def _backbones(arguments: argparse.Namespace) -> int:
    from trainer.training.networks.backbones import BACKBONES

    for backbone in BACKBONES.values():
        weights = "ImageNet weights" if backbone.weights_file else "from scratch"
        warning = f"; {backbone.int8_warning}" if backbone.int8_warning else ""
        print(f"{backbone.name:<32} {backbone.input_size} px, {weights}{warning}")
    return 0
