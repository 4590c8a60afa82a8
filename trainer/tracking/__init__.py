"""Follows a run: what it was asked, how it learns and what it made, in MLflow or for TensorBoard."""
