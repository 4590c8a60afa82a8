"""The live loop: capture, frame gate, classify, decide."""
