"""Compression of Keras models: channel pruning, weight sparsity and weight clustering, with what they cost and save.

Each of them takes a Keras model and returns one; `trainer.workflows.train.pipeline` runs them as stages of a run.
"""
