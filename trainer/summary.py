"""What was made, as a short table for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.pipeline import RunResult
    from trainer.types import Evaluation, Verdict

_SPLIT_NAMES = {"val": "validation", "test": "test"}


def format_result(result: RunResult) -> str:
    """A run's outcome: the models, their speed and where the report lies."""
    table = format_models(result.fp32, result.int8, result.evaluations, result.verdict, _speed_rows(result))
    return f"{table}\nReport       {result.report}"


def format_models(
    fp32: Path,
    int8: Path,
    evaluations: Mapping[str, Mapping[str, Evaluation]],
    verdict: Verdict,
    more_rows: Sequence[tuple[str, str, str, str]] = (),
) -> str:
    """FP32 beside INT8, the gate's decision and where the files lie."""
    rows = [("", "FP32", "INT8", "")]
    for split in evaluations["int8"]:
        a, b = evaluations["fp32"][split], evaluations["int8"][split]
        remark = f"{100 * (b.accuracy - a.accuracy):+.1f} points on {b.count} photos"
        rows.append((f"accuracy, {_SPLIT_NAMES.get(split, split)}", f"{a.accuracy:.1%}", f"{b.accuracy:.1%}", remark))
    sizes = fp32.stat().st_size, int8.stat().st_size
    in_kib = [f"{size / 1024:.0f} KiB" for size in sizes]
    rows.append(("file", in_kib[0], in_kib[1], f"{sizes[1] / sizes[0]:.0%} of the size"))
    rows += more_rows
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {more}".rstrip() for name, a, b, more in rows]
    promise = "kept" if verdict.passed else "NOT KEPT"
    lines += [
        "",
        f"Promise      {promise} ({verdict.agreement:.1f}% of INT8's answers on validation equal FP32's)",
        f"Models       {int8}",
        f"             {fp32}",
    ]
    return "\n".join(lines)


def _speed_rows(result: RunResult) -> list[tuple[str, str, str, str]]:
    by_name = {Path(model["path"]).name: model for model in result.speed["models"]}
    fp32, int8 = by_name[result.fp32.name], by_name[result.int8.name]
    rows = []
    for part, name in (("inference", "frames/s, network"), ("pipeline", "frames/s, whole")):
        speedup = int8[f"{part}_speedup"]
        remark = f"{speedup['ratio']:.2f} times ({speedup['low']:.2f} to {speedup['high']:.2f})"
        rows.append((name, f"{fp32[part]['fps']:.0f}", f"{int8[part]['fps']:.0f}", remark))
    return rows
