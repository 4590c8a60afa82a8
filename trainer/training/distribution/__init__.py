"""Training on several GPUs or machines."""
