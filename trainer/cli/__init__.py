"""The commands of ``edge-trainer``, one per file: each adds its options and the function that runs it."""
