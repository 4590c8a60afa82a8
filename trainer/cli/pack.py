"""``edge-trainer pack``: pack photos into a few large files, for data sets that outgrow a disk."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trainer.cli.options import FILES, add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("photos --to shards", "photos --to gs://bucket/photos --shards 16 --size 320")
    summary = "Pack photos into TFRecord shards that train can read from local or cloud storage"
    pack = add_command(commands, "pack", summary, _pack, examples)
    pack.add_argument("photos", metavar="PHOTOS", help=FILES)
    pack.add_argument("--to", required=True, metavar="SHARDS", help="New folder, or a URL such as gs://bucket/photos")
    pack.add_argument(
        "--shards",
        type=int,
        default=0,
        metavar="N",
        help="Number of files, ideally a multiple of the number of training machines (default: one per 128 MiB)",
    )
    pack.add_argument(
        "--size", type=int, default=0, metavar="PX", help="Shrink larger photos to a shorter side of PX pixels"
    )


def _pack(arguments: argparse.Namespace) -> int:
    from trainer.data.packing import pack

    index, unreadable = pack(arguments.photos, arguments.to, shards=arguments.shards, size=arguments.size)
    for path, reason in unreadable:
        print(f"skipped: {path}: {reason}", file=sys.stderr)
    size_mib = sum(shard.size_bytes for shard in index.shards) / (1 << 20)
    print(
        f"Packed {len(index.photos):,} photos of {len(index.labels)} classes into {len(index.shards)} "
        f"shard{'s' if len(index.shards) > 1 else ''}, {size_mib:,.1f} MiB, in {arguments.to}.\n"
        f"Train from them: edge-trainer train {arguments.to} --to RUN"
    )
    return 0
