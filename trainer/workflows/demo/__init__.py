"""The demo on handwritten digits: the photos it draws, and the run."""
