"""How latency is measured fairly."""
