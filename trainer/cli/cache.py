"""``edge-trainer cache``: list or clear the user's cache."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command

_MIB = 1 << 20


def add(commands: Any) -> None:
    """Add the command."""
    summary = "List or clear the cache of decoded photos that runs share"
    cache = add_command(commands, "cache", summary, _cache, ("", "--clear"))
    cache.add_argument("--clear", action="store_true", help="Delete the cache; photos are decoded again when needed")


def _cache(arguments: argparse.Namespace) -> int:
    from trainer.data.cache import cache_folder, clear, list_caches

    folder = cache_folder()
    caches = clear(folder) if arguments.clear else list_caches(folder)
    for cache in caches if not arguments.clear else ():
        print(f"{cache.size_bytes / _MIB:10,.1f} MiB  {cache.made:%Y-%m-%d}  {cache.path.name}")
    total = f"{sum(cache.size_bytes for cache in caches) / _MIB:10,.1f} MiB"
    print(f"{total}  {'removed from' if arguments.clear else 'in'} {folder}")
    return 0
