"""From a picture file to pixels to the network's input: one set of pixels, shared with the trainer."""
