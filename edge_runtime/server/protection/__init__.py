"""Protects the application: limits, tokens, slow clients."""
