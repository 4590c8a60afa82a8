"""Changes to float weights that make them lose less in INT8."""
