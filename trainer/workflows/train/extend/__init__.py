"""Classes added to a finished run."""
