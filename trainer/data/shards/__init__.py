"""Data sets larger than a disk, packed into shards."""
