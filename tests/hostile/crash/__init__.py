"""Runs of the trainer that are killed or find the disk full: ``python -m tests.hostile.crash.kill --count 200``."""
