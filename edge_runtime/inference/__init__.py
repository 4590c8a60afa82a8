"""From a frame to a prediction: the interpreter, its kernels, and the classifier."""
