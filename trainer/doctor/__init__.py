"""What is wrong with photos, one kind of finding a file; `trainer.doctor.check` puts them together."""
