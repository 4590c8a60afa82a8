"""What `augment` changes: where things are, their colours, how well they are seen, what is beside."""
