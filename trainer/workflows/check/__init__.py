"""What is wrong with photos, one kind of finding a file; `trainer.workflows.check.check` puts them together."""
