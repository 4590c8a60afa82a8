"""How anything is measured: turns, processes, results."""
