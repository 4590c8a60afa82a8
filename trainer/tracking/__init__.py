"""Experiment tracking: a run's settings, learning curves and results in MLflow or TensorBoard."""
