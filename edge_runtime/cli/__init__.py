"""The commands of ``edge-runtime``, one a file: each adds its options and says what it runs."""
