"""Self-describing model files, and their signatures."""
