"""A run's folder: its stages and their files."""
