"""Makes a network smaller or ready for integers: distillation, pruning, clustering, quantization-aware training.

Each module takes a Keras model and gives a Keras model; `trainer.workflows.train.pipeline` strings them together as
stages of a run.
"""
