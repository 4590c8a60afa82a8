"""Train a run, resume it, extend it."""
