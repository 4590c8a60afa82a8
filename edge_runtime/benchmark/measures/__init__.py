"""What the benchmark measures besides latency."""
