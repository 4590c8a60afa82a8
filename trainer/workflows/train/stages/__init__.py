"""The work of each stage in `trainer.workflows.train.pipeline.STAGES`."""
