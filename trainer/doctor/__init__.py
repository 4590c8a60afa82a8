"""What is wrong with photos, one kind of finding a file; `trainer.check` puts them together."""
