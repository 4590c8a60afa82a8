"""Fair latency measurement: warm-up, turns in random order, fresh processes, statistics, validity."""
