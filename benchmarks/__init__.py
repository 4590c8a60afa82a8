"""The project's own benchmarks: ratios measured within one run, their targets, and the results shown in README."""
