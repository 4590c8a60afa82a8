"""From frame to prediction: interpreter, kernels and classifier."""
