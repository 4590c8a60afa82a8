"""The project's own measurements: ratios taken within one run, with targets, and the results that README shows."""
