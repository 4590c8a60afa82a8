"""Prepares float weights so that they lose less accuracy in INT8."""
