"""``edge-trainer pack``: photos into a few large files, for data sets that outgrow a disk."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trainer.cli.options import FILES, add_command


def add(commands: Any) -> None:
    """Adds the command."""
    pack = add_command(commands, "pack", "pack photos into shards, which train reads from anywhere", _pack)
    pack.add_argument("photos", metavar="PHOTOS", help=FILES)
    pack.add_argument(
        "--to", required=True, metavar="SHARDS", help="a new folder, or an address such as gs://bucket/photos"
    )
    pack.add_argument(
        "--shards",
        type=int,
        default=0,
        metavar="N",
        help="number of files, best a multiple of the machines that train; default: one for each 128 MiB",
    )
    pack.add_argument(
        "--size", type=int, default=0, metavar="PX", help="make larger photos smaller, to a shorter side of PX pixels"
    )


def _pack(arguments: argparse.Namespace) -> int:
    from trainer.data.packing import pack

    index, unreadable = pack(arguments.photos, arguments.to, shards=arguments.shards, size=arguments.size)
    for path, reason in unreadable:
        print(f"Left out: {path}: {reason}", file=sys.stderr)
    size_mib = sum(shard.size_bytes for shard in index.shards) / (1 << 20)
    print(
        f"Packed {len(index.photos):,} photos of {len(index.labels)} classes into {len(index.shards)} "
        f"shard{'s' if len(index.shards) > 1 else ''}, {size_mib:,.1f} MiB, in {arguments.to}.\n"
        f"Train from them: edge-trainer train {arguments.to} --to RUN"
    )
    return 0
