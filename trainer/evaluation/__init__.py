"""What the model files are worth: accuracy through the runtime, the gate, variants beside each other."""
