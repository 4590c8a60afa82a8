"""What every fit shares: batches, losses, optimization, checkpoints."""
