"""Isolation of untrusted models in a separate process, so that a crash or hang becomes an error.

The parent checks the model, prepares the network's input and reads its output; the child only runs the interpreter.
They share a socket: the model's bytes and the input tensors go to the child, and JSON objects come back. The parent
does not trust these: it limits their size and time, and executes nothing in them.
"""
