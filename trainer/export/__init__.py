"""From model bytes to one file that explains itself; signing."""
