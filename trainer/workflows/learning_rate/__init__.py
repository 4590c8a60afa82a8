"""A sweep that suggests a learning rate."""
