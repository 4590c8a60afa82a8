"""A benchmark report as text, Markdown, CSV and SVG."""
