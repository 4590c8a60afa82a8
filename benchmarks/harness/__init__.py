"""Tools shared by all measurements: turns, processes, figures, stored results."""
