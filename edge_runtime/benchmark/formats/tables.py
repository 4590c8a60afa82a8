"""Format a benchmark report for a terminal, as Markdown, or as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_runtime.benchmark.report import (
    Accuracy,
    BenchmarkReport,
    ModelResult,
    Speedup,
    Sustained,
    ThreadSweep,
    Timing,
)
from edge_runtime.device.machine import Machine

Table = tuple[tuple[str, ...], ...]
"""Rows of cells. The first row holds the headings, the first column the names."""

_LATENCY_HEADINGS = ("p50", "p90", "p99", "mean", "min", "FPS", "speedup (95% CI)")
_BANNER = "!" * 78
_ENDS = {
    "seconds": "ended by the time limit",
    "rounds": "as requested",
    "precision": "ended at the requested precision",
    "interrupted": "ended by an interrupt",
    "running": "still running when this report was saved",
}


def format_text(report: BenchmarkReport) -> str:
    """Format the report for a terminal."""
    parts = [_text_table(table) for table in _tables(report)]
    parts += ["\n".join(notes) for notes in (report.sentences(), [*_notes(report)]) if notes]
    if report.invalid:
        parts.insert(0, "\n".join([_BANNER, "I N V A L I D   R U N", *_sentences_of(report.invalid), _BANNER]))
    return "\n\n".join(parts)


def format_operations(report: BenchmarkReport) -> str:
    """Format each model's operators for a terminal: count, multiply-adds, and how many XNNPACK runs."""
    return "\n\n".join(_text_table(_operations_table(model)) for model in report.models)


def format_markdown(report: BenchmarkReport) -> str:
    """Format the report as Markdown tables followed by notes."""
    parts = [_markdown_table(table) for table in _tables(report)]
    notes = "\n".join(f"- {note}" for note in (*report.sentences(), *_notes(report)))
    if report.invalid:
        parts.insert(0, "\n\n".join(["# INVALID RUN", *(f"**{line}**" for line in _sentences_of(report.invalid))]))
    return "\n\n".join([*parts, notes])


def format_csv(report: BenchmarkReport) -> str:
    """Format the report as CSV: one line per model with all figures, times in milliseconds."""
    rows = [_flat(report, model) for model in report.models]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _tables(report: BenchmarkReport) -> Iterator[Table]:
    yield _inference_table(report)
    yield _pipeline_table(report)
    yield _file_table(report)
    yield from (_sweep_table(sweep) for sweep in report.sweeps)
    if report.sustained:
        yield _sustained_table(report.sustained)


def _inference_table(report: BenchmarkReport) -> Table:
    headings = ("inference (ms)", "precision", "threads", *_LATENCY_HEADINGS)
    rows = [
        (
            model.name,
            model.precision,
            str(model.backend.num_threads),
            *_milliseconds(model.inference),
            _speedup(model.inference_speedup),
        )
        for model in report.models
    ]
    return (headings, *rows, *((failure.name, f"FAILED: {failure.reason}") for failure in report.failures))


def _pipeline_table(report: BenchmarkReport) -> Table:
    headings = ("pipeline (ms)", "pre p50", "post p50", *_LATENCY_HEADINGS)
    rows = [
        (
            model.name,
            _number(model.preprocess.p50_ms),
            _number(model.postprocess.p50_ms),
            *_milliseconds(model.pipeline),
            _speedup(model.pipeline_speedup),
        )
        for model in report.models
    ]
    return (headings, *rows)


def _file_table(report: BenchmarkReport) -> Table:
    """Return size, accuracy, start-up and energy figures, without the columns that are empty for all models."""
    rows = [_file_cells(model) for model in report.models]
    headings = tuple(heading for heading in rows[0] if any(row[heading] for row in rows))
    return (headings, *(tuple(row[heading] or "–" for heading in headings) for row in rows))


def _file_cells(model: ModelResult) -> dict[str, str]:
    start, accuracy, energy, backend = model.start, model.accuracy, model.energy, model.backend
    return {
        "model": model.name,
        "size (KiB)": f"{model.size_bytes / 1024:.0f}",
        "accuracy": _accuracy(accuracy) if accuracy else "",
        "agreement": f"{accuracy.agreement:.1%}" if accuracy and accuracy.agreement is not None else "",
        "load (ms)": f"{start.load_ms:.1f}" if start else "",
        "first run (ms)": f"{start.first_ms:.1f}" if start else "",
        "cold start (ms)": f"{start.cold_start_ms:.0f}" if start else "",
        "peak (MiB)": f"{start.peak_bytes / 2**20:.1f}" if start else "",
        "mJ/frame": f"{energy.per_frame_mj:.1f}" if energy else "",
        "W": f"{energy.busy_w:.1f}" if energy else "",
        "delegated": "" if backend.delegated_ops is None else f"{backend.delegated_ops}/{backend.total_ops} operators",
    }


def _accuracy(accuracy: Accuracy) -> str:
    if accuracy.source == "manifest":
        return f"{accuracy.value:.1%} (manifest)"
    return f"{accuracy.value:.1%} ({accuracy.low:.1%}–{accuracy.high:.1%})"


def _sweep_table(sweep: ThreadSweep) -> Table:
    rows = [
        (
            f"{trial.num_threads}" + (" *" if trial.num_threads == sweep.best else ""),
            _number(trial.inference.p50_ms),
            _number(trial.inference.p99_ms),
        )
        for trial in sweep.trials
    ]
    return ((f"threads, {sweep.model}, {sweep.backend}", "p50 (ms)", "p99 (ms)"), *rows)


def _sustained_table(sustained: Sustained) -> Table:
    """Return at most twelve samples; the JSON report has all of them."""
    samples = sustained.samples
    step = max(1, -(-len(samples) // 12))
    rows = [
        (
            f"{sample.seconds:.0f} s",
            f"{sample.fps:.1f}",
            _number(sample.p99_ms),
            "–" if sample.temperature_c is None else f"{sample.temperature_c:.0f}",
            "–" if sample.clock_mhz is None else f"{sample.clock_mhz:.0f}",
            "–" if sample.throttled is None else ", ".join(sample.throttled) or "no",
        )
        for sample in samples[step - 1 :: step]
    ]
    return ((f"sustained, {sustained.name}", "FPS", "p99 (ms)", "°C", "MHz", "throttled"), *rows)


def _operations_table(model: ModelResult) -> Table:
    total = sum(kind.macs for kind in model.operations)
    rows = [
        (
            kind.name,
            str(kind.count),
            f"{kind.macs / 1e6:.2f}",
            f"{kind.macs / total:.1%}" if total else "–",
            "–" if kind.delegated is None else f"{kind.delegated}/{kind.count}",
        )
        for kind in model.operations
    ]
    count = sum(kind.count for kind in model.operations)
    return (
        (f"operators, {model.name}", "count", "M multiply-adds", "share", "delegated"),
        *rows,
        ("total", str(count), f"{total / 1e6:.2f}", "", ""),
    )


def _milliseconds(timing: Timing) -> tuple[str, ...]:
    times = (timing.p50_ms, timing.p90_ms, timing.p99_ms, timing.mean_ms, timing.min_ms)
    return (*(_number(value) for value in times), f"{timing.fps:.1f}")


def _number(ms: float) -> str:
    """Format milliseconds with about three significant digits."""
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 100 else f"{ms:.0f}"


def _speedup(speedup: Speedup | None) -> str:
    return f"{speedup.ratio:.3g}× ({speedup.low:.3g}–{speedup.high:.3g})" if speedup else "–"


def _text_table(table: Table) -> str:
    columns = len(table[0])
    # A row with fewer cells than the headings is a remark, which doesn't widen the columns.
    full = [row for row in table if len(row) == columns]
    widths = [max(len(row[column]) for row in full) for column in range(columns)]
    widths[0] = max(len(row[0]) for row in table)
    return "\n".join(
        "  ".join(
            cell.ljust(widths[column]) if column == 0 or len(row) < columns else cell.rjust(widths[column])
            for column, cell in enumerate(row)
        ).rstrip()
        for row in table
    )


def _markdown_table(table: Table) -> str:
    columns = len(table[0])
    lines = [table[0], ("---", *["---:"] * (columns - 1)), *table[1:]]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in (*line, *[""] * (columns - len(line)))) + " |"
        for line in lines
    )


def _notes(report: BenchmarkReport) -> Iterator[str]:
    machine, models = report.machine, report.models
    yield from (f"Warning: {warning}" for warning in report.warnings)
    for sweep in report.sweeps:
        yield (
            f"Threads: {sweep.best} for {sweep.model} ({sweep.backend}), the smallest number within 5% of the fastest "
            "that leaves a core free; "
            + (
                "saved as the default for this model on this machine."
                if sweep.remembered
                else "not saved, because the machine was busy or the cache folder is not writable."
            )
        )
    if report.sustained:
        yield (
            f"Sustained: {report.sustained.name} kept {report.sustained.kept:.0%} of its initial frame rate over "
            f"{report.sustained.samples[-1].seconds / 60:.1f} minutes."
        )
    yield "Machine: " + ", ".join(_machine_facts(machine))
    if report.others_cores is not None:
        yield f"Other programs: {report.others_cores:.2f} cores in use during the measurement."
    if report.capture:
        timing, live = report.capture.timing, report.capture.live
        yield (
            f"Capture: {report.capture.source}: {_number(timing.p50_ms)} ms p50, {_number(timing.p99_ms)} ms p99 per "
            f"frame{', including the wait for the camera' if live else ''}; {timing.fps:.1f} FPS."
        )
    backends = dict.fromkeys(
        f"{model.backend.name} {model.backend.version}, threads: {model.backend.num_threads}" for model in models
    )
    kernels = dict.fromkeys(model.backend.int8_kernels for model in models if model.precision == "INT8")
    yield "Backend: " + "; ".join(backends) + (f"; INT8 kernels: {', '.join(kernels)}" if kernels else "")
    for model in models:
        if model.backend.delegated_ops:
            left = Counter(model.backend.undelegated)
            names = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in left.items())
            yield f"Operators of {model.name} not delegated to XNNPACK: {names or 'none'}."
    warmups = ", ".join(dict.fromkeys(str(model.warmup_runs) for model in models))
    yield (
        f"Run: {report.date}; {report.rounds} rounds in random order, {_ENDS[report.ended_by]}; {warmups} warm-up "
        f"runs; frame {report.frame_width}×{report.frame_height}; pipeline = preprocessing + inference + "
        "postprocessing; FPS = 1000 / mean; speedup from the quietest turns"
        + (f" in {report.heats} processes" if report.heats else "")
        + ", in CPU time if both models use one thread; "
        + f"timer overhead {1e3 * report.timer_ms:.2f} µs per run."
    )
    if any(model.start for model in models):
        count = max(model.start.processes for model in models if model.start)
        yield (
            f"Start: median of {count} fresh processes per model, with the file in the disk cache; cold start = from "
            "process start to first result; peak = memory of the whole process, including Python and libraries."
        )
    yield from _accuracy_notes(models)
    energies = [model.energy for model in models if model.energy]
    if energies:
        yield f"Energy: everything that {energies[0].meter} measures; {energies[0].idle_w:.1f} W when idle."
    hashes = dict.fromkeys(f"{Path(model.path).name} {model.sha256[:12]}" for model in models)
    yield "SHA-256: " + ", ".join(hashes)
    yield (
        "Time per operator: not available from the backends' Python API, and XNNPACK runs all its operators as one. "
        "--operations lists multiply-adds per operator."
    )


def _accuracy_notes(models: Sequence[ModelResult]) -> Iterator[str]:
    found = [model.accuracy for model in models if model.accuracy]
    measured = [one for one in found if one.source == "measured"]
    stated = dict.fromkeys(one.split for one in found if one.source == "manifest")
    if measured:
        yield f"Accuracy: measured here on {measured[0].photos} photos, with the same code path."
    if stated:
        yield f"Accuracy (manifest): as stored in the model file ({', '.join(stated)} split), not measured here."


def _machine_facts(machine: Machine) -> Iterator[str]:
    for fact in (machine.board, machine.cpu):
        if fact:
            yield fact
    yield f"{machine.cores} cores"
    yield machine.architecture
    yield ", ".join(machine.features) + ("" if machine.has_int8_instructions else ", no INT8 dot product")
    if machine.governor:
        yield f"governor {machine.governor}"
    if machine.clock_mhz:
        yield f"{machine.clock_mhz:.0f} MHz"
    if machine.temperature_c:
        yield f"{machine.temperature_c:.0f} °C"
    if machine.throttled is not None:
        yield f"throttled: {', '.join(machine.throttled) or 'no'}"
    if machine.memory_bytes:
        yield f"{machine.memory_bytes / 2**30:.1f} GiB"
    yield machine.kernel
    yield f"Python {machine.python}"


def _sentences_of(reasons: Sequence[str]) -> list[str]:
    return [f"Do not use these figures. {reason[0].upper()}{reason[1:]}." for reason in reasons]


def _flat(report: BenchmarkReport, model: ModelResult) -> dict[str, Any]:
    backend, start, accuracy = model.backend, model.start, model.accuracy
    row: dict[str, Any] = {
        "name": model.name,
        "sha256": model.sha256,
        "precision": model.precision,
        "size_bytes": model.size_bytes,
        "backend": backend.name,
        "backend_version": backend.version,
        "num_threads": backend.num_threads,
        "int8_kernels": backend.int8_kernels,
        "delegated_ops": backend.delegated_ops,
        "total_ops": backend.total_ops,
    }
    for part in ("inference", "preprocess", "postprocess", "pipeline"):
        row |= {f"{part}_{name}": value for name, value in getattr(model, part).to_dict().items()}
    for part, speedup in (("inference", model.inference_speedup), ("pipeline", model.pipeline_speedup)):
        for name in ("ratio", "low", "high"):
            row[f"{part}_speedup_{name}"] = getattr(speedup, name, None)
    for name in ("load_ms", "first_ms", "cold_start_ms", "peak_bytes"):
        row[name] = getattr(start, name, None)
    for name in ("value", "source", "low", "high"):
        row[f"accuracy_{name}"] = getattr(accuracy, name, None)
    row["energy_per_frame_mj"] = model.energy.per_frame_mj if model.energy else None
    row["valid"] = not report.invalid
    return row
