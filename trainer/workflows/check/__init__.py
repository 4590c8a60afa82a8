"""Check photos before training: one kind of finding per file, put together in `trainer.workflows.check.check`."""
