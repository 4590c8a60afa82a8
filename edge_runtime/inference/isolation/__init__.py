"""Runs an untrusted model in a process of its own: what crashes or hangs there ends as an error, not as the program.

The parent checks the model, makes the network's input of each frame and reads its output; the child has the interpreter
alone. They share a socket. To the child go the model's bytes and the input tensors, back come JSON objects, which the
parent doesn't trust: their size and their time are limited, and nothing in them is run.
"""
