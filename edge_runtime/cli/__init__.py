"""The commands of ``edge-runtime``, one per file."""
