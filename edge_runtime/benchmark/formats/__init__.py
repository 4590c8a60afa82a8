"""Formats of a benchmark report: text, Markdown, CSV and SVG."""
