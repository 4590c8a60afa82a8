"""Training runs that are killed or run out of disk space: ``python -m tests.hostile.crash.kill --count 200``."""
