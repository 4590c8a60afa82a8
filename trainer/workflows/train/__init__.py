"""Train a run, resume it, or extend it."""
