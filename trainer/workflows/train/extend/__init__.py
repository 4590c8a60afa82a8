"""Add classes to a finished run."""
