"""``edge-trainer backbones``: lists the networks."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    add_command(commands, "backbones", "list the networks", _backbones)


def _backbones(arguments: argparse.Namespace) -> int:
    from trainer.training.networks.backbones import BACKBONES

    for backbone in BACKBONES.values():
        weights = "ImageNet weights" if backbone.weights_file else "from scratch"
        warning = f"; {backbone.int8_warning}" if backbone.int8_warning else ""
        print(f"{backbone.name:<32} {backbone.input_size} px, {weights}{warning}")
    return 0
