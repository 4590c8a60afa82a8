"""The demo: the whole journey on handwritten digits."""
