"""The live loop: capture, frame gate, classification, decision."""
