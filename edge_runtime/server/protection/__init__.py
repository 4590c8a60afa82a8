"""What stands before the application: limits, tokens, slow clients."""
