"""What a run tells people: pages, figures, text."""
