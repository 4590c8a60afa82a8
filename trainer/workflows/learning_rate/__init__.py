"""Learning-rate range test."""
