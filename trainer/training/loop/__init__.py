"""The training loop: batches, losses, optimization and checkpoints."""
