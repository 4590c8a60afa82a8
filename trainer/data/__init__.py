"""From photos to pixels: which there are, how they are split, and the arrays that training reads."""
