"""Draw a benchmark report as SVG: latency bars with intervals, and accuracy against latency.

The SVG is written without a plotting library, which a device may not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from edge_runtime.benchmark.report import Accuracy, BenchmarkReport, ModelResult, Timing

WIDTH = 860
_MARGIN = 24
_BARS = 560  # length of the longest bar, which leaves room for its label
_ROW = 68
_PLOT = 280
_COLORS = {"INT8": ("#1b6ca8", "#9cc4e0"), "FP32": ("#b5651d", "#e6c7a5")}
_INK, _FAINT, _ALARM = "#222", "#ccc", "#c00000"


def format_svg(report: BenchmarkReport) -> str:
    """Return the report as an SVG image."""
    parts: list[str] = []
    top = _MARGIN + 16
    parts.append(_text(_MARGIN, top, "Latency per frame in ms (p50 with 95% interval)", size=16, bold=True))
    if report.invalid:
        top += 36
        parts.append(_text(_MARGIN, top, "INVALID RUN", size=32, bold=True, fill=_ALARM))
        for reason in report.invalid:
            top += 20
            parts.append(_text(_MARGIN, top, reason, fill=_ALARM))
    top += 24
    parts.append(_text(_MARGIN, top, "dark: inference only; light: full pipeline", fill="#666"))
    longest = max(model.pipeline.high_ms for model in report.models)
    for number, model in enumerate(report.models, 1):
        parts += _bars(number, model, top, _BARS / longest)
        top += _ROW
    top += 16
    known = [(number, model) for number, model in enumerate(report.models, 1) if model.accuracy]
    if known:
        parts += _scatter(known, top)
        top += _PLOT
    machine = report.machine
    facts = [fact for fact in (machine.board, machine.cpu) if fact] + [f"{machine.cores} cores", report.date[:10]]
    parts.append(_text(_MARGIN, top + 24, ", ".join(facts), fill="#666"))
    height = top + 24 + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif">',
            # White background, so that it can be read on a dark page too.
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *parts,
            "</svg>",
        ]
    )


def _bars(number: int, model: ModelResult, top: float, scale: float) -> Iterator[str]:
    dark, light = _COLORS.get(model.precision, _COLORS["FP32"])
    speedup = f", {model.inference_speedup.ratio:.3g}× the baseline" if model.inference_speedup else ""
    yield _text(_MARGIN, top + 26, f"{number}  {model.name}, {model.precision}{speedup}", bold=True)
    for row, (timing, color) in enumerate(((model.inference, dark), (model.pipeline, light))):
        yield from _bar(timing, color, top + 33 + 15 * row, scale)


def _bar(timing: Timing, color: str, top: float, scale: float) -> Iterator[str]:
    width = max(1.0, timing.p50_ms * scale)
    low, high, middle = _MARGIN + timing.low_ms * scale, _MARGIN + timing.high_ms * scale, top + 6.5
    yield f'<rect x="{_MARGIN}" y="{top:.1f}" width="{width:.1f}" height="13" fill="{color}"/>'
    yield _line(low, middle, high, middle)
    yield _line(low, middle - 3, low, middle + 3)
    yield _line(high, middle - 3, high, middle + 3)
    label = f"{timing.p50_ms:.3g} ms, {timing.fps:.3g} FPS"
    yield _text(max(high, _MARGIN + width) + 8, top + 11, label, size=12)


def _scatter(models: Sequence[tuple[int, ModelResult]], top: float) -> Iterator[str]:
    left, right, upper, lower = _MARGIN + 40, WIDTH - _MARGIN, top + 28, top + _PLOT - 40
    accuracies = [(model.accuracy or _NONE) for _, model in models]
    times = [model.inference.p50_ms for _, model in models]
    bottom, ceiling = _frame([one.low for one in accuracies], [one.high for one in accuracies])
    # Logarithmic, because models are compared by ratios. A third of an octave stays free on both sides.
    start, end = math.log(min(times) / 1.3), math.log(max(times) * 1.3)

    def x(ms: float) -> float:
        return left + (math.log(ms) - start) / (end - start) * (right - left)

    def y(value: float) -> float:
        return lower - (value - bottom) / (ceiling - bottom) * (lower - upper)

    measured = {one.source for one in accuracies} == {"measured"}
    source = "measured here" if measured else "from the model files"
    yield _text(_MARGIN, top + 12, f"Accuracy ({source}) against inference latency", size=16, bold=True)
    for value in _ticks(bottom, ceiling):
        yield _line(left, y(value), right, y(value), color=_FAINT)
        yield _text(left - 6, y(value) + 4, f"{value:.0%}", size=12, anchor="end")
    for ms in _decades(math.exp(start), math.exp(end)):
        yield _line(x(ms), lower, x(ms), lower + 5)
        yield _text(x(ms), lower + 18, f"{ms:g} ms", size=12, anchor="middle")
    yield _line(left, lower, right, lower)
    for (number, model), accuracy in zip(models, accuracies, strict=True):
        color, place = _COLORS.get(model.precision, _COLORS["FP32"])[0], x(model.inference.p50_ms)
        yield _line(place, y(accuracy.low), place, y(accuracy.high), color=color)
        yield f'<circle cx="{place:.1f}" cy="{y(accuracy.value):.1f}" r="5" fill="{color}"/>'
        # Labels alternate above and below the intervals, because neighbors often have the same latency.
        beside = y(accuracy.high) - 6 if number % 2 else y(accuracy.low) + 16
        yield _text(place, beside, str(number), bold=True, anchor="middle")


_NONE = Accuracy(0.0, "manifest", "", 0, 0.0, 0.0)


def _frame(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """Return the limits of the accuracy axis: the range of all intervals, rounded outward to multiples of 5%."""
    return math.floor(20 * min(lows)) / 20, math.ceil(20 * max(highs) + 1e-9) / 20


def _ticks(bottom: float, ceiling: float) -> list[float]:
    step = 0.05 if ceiling - bottom <= 0.3 else 0.1 if ceiling - bottom <= 0.6 else 0.2
    return [bottom + step * number for number in range(int((ceiling - bottom) / step + 1e-6) + 1)]


def _decades(start: float, end: float) -> list[float]:
    """Return ticks at 1, 2 and 5 times the powers of ten between two times in ms, or the middle if there are none."""
    powers = range(math.floor(math.log10(start)), math.ceil(math.log10(end)) + 1)
    found = [digit * 10.0**power for power in powers for digit in (1, 2, 5) if start <= digit * 10.0**power <= end]
    return found or [float(f"{math.sqrt(start * end):.2g}")]


def _text(
    x: float, y: float, text: str, *, size: int = 13, bold: bool = False, anchor: str = "start", fill: str = _INK
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{weight}>'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, color: str = _INK) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="1.5"/>'
