"""From photos to pixels: finding photos, splitting them, and the arrays that training reads."""
