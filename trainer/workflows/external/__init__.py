"""A network trained elsewhere: quantize it, compress it."""
