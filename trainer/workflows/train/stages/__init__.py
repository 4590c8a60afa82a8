"""Functions that carry out the stages in `trainer.workflows.train.pipeline.STAGES`."""
