"""The commands of ``edge-trainer``, one a file: each adds its options and says what it runs."""
