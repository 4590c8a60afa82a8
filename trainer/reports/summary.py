"""Tables about results, for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.types import CompressedModel, Evaluation, Extension, LadderStep, RunResult, Variant, Verdict

_SPLIT_NAMES = {"val": "validation", "test": "test"}


def format_result(result: RunResult) -> str:
    """Return a run's outcome: models, speed, paths of the reports, and the compression steps."""
    table = format_models(result.fp32, result.int8, result.evaluations, result.verdict, _speed_rows(result))
    steps = f"{format_ladder(result.rungs)}\n\n{format_variants(result.variants)}"
    pages = f"Report       {result.report}\nCompression  {result.compression}\nModel card   {result.card}"
    few = "".join(f"\n\n{note}" for note in result.few)
    return f"{table}\n{pages}\n\n{steps}{few}"


def format_compressed(made: CompressedModel) -> str:
    """Return the outcome of the search for a smaller model."""
    verdict = "passed" if made.verdict.passed else "FAILED"
    lines = [
        format_ladder(made.rungs),
        "",
        format_variants(made.variants),
        "",
        f"INT8         {made.int8}, {made.keep_macs:.0%} of the multiply-adds",
        f"FP32         {made.fp32}",
        f"Gate         {verdict}: {made.verdict.gain:+.2f} points compared with FP32 on validation",
        f"Compression  {made.page}",
    ]
    return "\n".join(lines)


def format_variants(variants: Sequence[Variant]) -> str:
    """Return a table of accuracy and cost of every model file of a run."""
    splits = [split for split in _SPLIT_NAMES if any(split in variant.accuracies for variant in variants)]
    rows = [
        (
            "Model variants",
            *(_SPLIT_NAMES[split] for split in splits),
            "file",
            "gzip",
            "M mult-adds",
            "ms",
            "speed",
        )
    ]
    for variant in variants:
        accuracies = (f"{variant.accuracies[split]:.1%}" if split in variant.accuracies else "" for split in splits)
        sizes = (f"{size / 1024:.0f} KiB" for size in (variant.size_bytes, variant.gzip_bytes))
        speed = "baseline" if variant.baseline else f"×{variant.speedup[0]:.2f}" if variant.speedup else ""
        title = variant.title + (" (ships)" if variant.ships else "")
        rows.append((title, *accuracies, *sizes, f"{variant.macs / 1e6:.1f}", f"{variant.latency_ms:.2f}", speed))
    return aligned(rows)


def format_ladder(steps: Sequence[LadderStep]) -> str:
    """Return a table of the steps of the quantization ladder that were tried."""
    rows = [("Quantization ladder, validation", "accuracy", "points", "agreement", "seconds", "gate")]
    for step in steps:
        gate = ("passed" if step.passed else "failed") + (", chosen" if step.chosen else "")
        figures = (f"{step.accuracy:.1%}", f"{step.gain:+.2f}", f"{step.agreement:.1f}%", f"{step.seconds:.0f}")
        rows.append((step.title, *figures, gate))
    return aligned(rows)


def format_extension(extension: Extension) -> str:
    """Return a table of each class before and after the extension of a run."""
    rows = [("Classes, FP32 on test photos", "added", "correct before", "correct now", "of")]
    for one in extension.classes:
        before = "new" if one.before is None else str(one.before)
        rows.append((one.label, str(one.added or ""), before, str(one.after), str(one.count)))
    return f"{aligned(rows)}\n\n{extension_text(extension)}"


def extension_text(extension: Extension) -> str:
    """Return the accuracy of the known and of the new classes after an extension, in sentences."""
    known = extension.known
    new = [one for one in extension.classes if one.before is None]
    before, after, count = (
        sum(values) for values in zip(*((o.before or 0, o.after, o.count) for o in known), strict=True)
    )
    text = (
        f"Known classes: {after} of {count} test photos correct, {before} before "
        f"({100 * (after - before) / count:+.1f} points)."
    )
    worst = min(known, key=lambda one: (one.after - (one.before or 0)) / max(1, one.count))
    if worst.after < (worst.before or 0):
        text += f" Largest drop: {worst.label}, {worst.after} of {worst.count} correct, {worst.before} before."
    if new:
        told = ", ".join(f"{one.label} {one.after} of {one.count}" for one in new)
        text += f" New classes: {told} correct."
    return text


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )


def format_models(
    fp32: Path,
    int8: Path,
    evaluations: Mapping[str, Mapping[str, Evaluation]],
    verdict: Verdict,
    more_rows: Sequence[tuple[str, str, str, str]] = (),
) -> str:
    """Return a table of FP32 and INT8, the verdict of the accuracy gate, and the paths of the models.

    Args:
        fp32: Path of the FP32 model.
        int8: Path of the INT8 model.
        evaluations: Evaluations by precision, then by split.
        verdict: Verdict of the accuracy gate.
        more_rows: Further rows: name, FP32's value, INT8's value, remark.
    """
    rows = [("", "FP32", "INT8", "")]
    for split in evaluations["int8"]:
        a, b = evaluations["fp32"][split], evaluations["int8"][split]
        remark = f"{100 * (b.accuracy - a.accuracy):+.1f} points on {b.pictures} photos"
        rows.append((f"accuracy, {_SPLIT_NAMES.get(split, split)}", f"{a.accuracy:.1%}", f"{b.accuracy:.1%}", remark))
        if isinstance(a, MultiLabelEvaluation):
            rows.append((f"macro F1, {_SPLIT_NAMES.get(split, split)}", f"{a.macro_f1:.1%}", f"{b.macro_f1:.1%}", ""))
    sizes = fp32.stat().st_size, int8.stat().st_size
    in_kib = [f"{size / 1024:.0f} KiB" for size in sizes]
    rows.append(("file", in_kib[0], in_kib[1], f"{sizes[1] / sizes[0]:.0%} of the size"))
    rows += more_rows
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {more}".rstrip() for name, a, b, more in rows]
    gate = "passed" if verdict.passed else "FAILED"
    lines += [
        "",
        f"Gate         {gate} (INT8 and FP32 agree on {verdict.agreement:.1f}% of validation)",
        f"Models       {int8}",
        f"             {fp32}",
    ]
    return "\n".join(lines)


def _speed_rows(result: RunResult) -> list[tuple[str, str, str, str]]:
    by_name = {Path(model["path"]).name: model for model in result.speed["models"]}
    fp32, int8 = by_name[result.fp32.name], by_name[result.int8.name]
    rows = []
    for part, name in (("inference", "FPS, inference only"), ("pipeline", "FPS, full pipeline")):
        speedup = int8[f"{part}_speedup"]
        remark = f"×{speedup['ratio']:.2f} ({speedup['low']:.2f}–{speedup['high']:.2f})"
        rows.append((name, f"{fp32[part]['fps']:.0f}", f"{int8[part]['fps']:.0f}", remark))
    return rows
