"""Render the stored results as Markdown: the figures in the project's README, dates and versions in this folder's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import ROOT
from benchmarks.harness.results import FOLDER, Measurement, Results, read
from benchmarks.runtime.arm_counts import counts_table, is_count

START, END = "<!-- results -->", "<!-- /results -->"
_VERSIONS = ("python", "tflite-runtime", "ai-edge-litert", "opencv-python-headless", "tensorflow")


def render_pages() -> dict[Path, str]:
    """Return the text of both README files with up-to-date tables."""
    pages: dict[Path, Callable[[Results], str]] = {
        ROOT / "README.md": render,
        ROOT / "benchmarks" / "README.md": render_runs,
    }
    stored = [read(path) for path in sorted(FOLDER.glob("*.json"))]
    return {
        page: replace_between_markers(page.read_text(encoding="utf-8"), "\n\n".join(map(one_machine, stored)))
        for page, one_machine in pages.items()
    }


def render_runs(results: Results) -> str:
    """Return one machine's table of measurements: dates, load, targets and versions."""
    rows = [
        "| Measurement | Date | Load before | Figures | Targets met | Versions |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in results.measurements.items():
        versions = ", ".join(f"{package} {one.versions[package]}" for package in _VERSIONS if package in one.versions)
        load = "" if one.load is None else f"{one.load:g}"
        rows.append(f"| `{name}` | {one.date} | {load} | {len(one.figures)} | {_targets(one)} | {versions} |")
    return "\n".join((f"{results.machine}:", "", *rows))


def _targets(measurement: Measurement) -> str:
    counts = Counter(figure.met for figure in measurement.figures if figure.met)
    if not counts:
        return ""
    words = {"no": "not", "within the interval": "unclear"}
    missed = [f"{counts[met]} {word}" for met, word in words.items() if counts[met]]
    return f"{counts['yes']} of {sum(counts.values())}" + (f" ({', '.join(missed)})" if missed else "")


def render(results: Results) -> str:
    """Return one machine's tables of figures."""
    measured = results.measurements.values()
    dates = sorted({one.date for one in measured})
    when = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    versions: dict[str, str] = {}
    for one in measured:
        versions |= one.versions
    named = ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions)
    figures = [figure for one in measured for figure in one.figures]
    counts = [figure for figure in figures if is_count(figure)]
    tables = []
    if len(counts) < len(figures):
        tables.append(figures_table(figure for figure in figures if not is_count(figure)))
    if counts:
        tables.append(f"Counted, not timed, with one thread, by `{counts[0].command}`; in brackets, against FP32:")
        tables.append(counts_table(counts))
    return "\n\n".join((f"{results.machine}; {named}; measured {when}:", *tables))


def figures_table(figures: Iterable[Figure]) -> str:
    """Return a Markdown table with one row per figure."""
    rows = [
        "| What | Measured (95% interval) | Target | Met | Conditions | Command |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        cells = (figure.what, figure.result, figure.target, figure.met, figure.conditions, f"`{figure.command}`")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def replace_between_markers(text: str, table: str) -> str:
    """Replace the text between the markers of a page with the table.

    Raises:
        ValueError: The page does not have exactly one pair of markers.
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"The page needs exactly one {START} followed by one {END}, where the table belongs.")
    pattern = re.compile(f"{re.escape(START)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n{table}\n{END}", text)
