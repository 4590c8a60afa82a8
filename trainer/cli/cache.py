"""``edge-trainer cache``: what the user's cache holds, and how to be rid of it."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command

_MIB = 1 << 20


def add(commands: Any) -> None:
    """Adds the command."""
    cache = add_command(commands, "cache", "list the decoded photos that runs keep for later ones", _cache)
    cache.add_argument("--clear", action="store_true", help="remove them; runs decode their photos again when needed")


def _cache(arguments: argparse.Namespace) -> int:
    from trainer.data.cache import cache_folder, clear, list_caches

    folder = cache_folder()
    caches = clear(folder) if arguments.clear else list_caches(folder)
    for cache in caches if not arguments.clear else ():
        print(f"{cache.size_bytes / _MIB:10,.1f} MiB  {cache.made:%Y-%m-%d}  {cache.path.name}")
    total = f"{sum(cache.size_bytes for cache in caches) / _MIB:10,.1f} MiB"
    print(f"{total}  {'removed from' if arguments.clear else 'in'} {folder}")
    return 0
