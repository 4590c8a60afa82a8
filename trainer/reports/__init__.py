"""Reports about a run: pages, model card, figures, tables for the terminal."""
