"""Picture decoding, and preprocessing from frame to network input."""
